{# GA4's default channel group of a visit, by Google's published rules (support.google.com/analytics/answer/9756891).
   Arguments are SQL: source, medium and campaign as reported, and the source's category (search, social, shopping, video). #}
{% macro channel_group(source, medium, campaign, category) -%}
    {%- set source = "lower(coalesce(" ~ source ~ ", ''))" -%}
    {%- set medium = "lower(coalesce(" ~ medium ~ ", ''))" -%}
    {%- set campaign = "lower(coalesce(" ~ campaign ~ ", ''))" -%}
    {%- set is_paid = "regexp_matches(" ~ medium ~ ", '^(.*cp.*|ppc|retargeting|paid.*)$')" -%}
    {%- set is_shopping = "regexp_matches(" ~ campaign ~ ", '^(.*(([^a-df-z]|^)shop|shopping).*)$')" -%}
    case
        when {{ source }} in ('', '(direct)') and {{ medium }} in ('', '(none)', '(not set)') then 'Direct'
        when {{ campaign }} like '%cross-network%' then 'Cross-network'
        when ({{ category }} = 'shopping' or {{ is_shopping }}) and {{ is_paid }} then 'Paid Shopping'
        when {{ category }} = 'search' and {{ is_paid }} then 'Paid Search'
        when {{ category }} = 'social' and {{ is_paid }} then 'Paid Social'
        when {{ category }} = 'video' and {{ is_paid }} then 'Paid Video'
        when {{ medium }} in ('display', 'banner', 'expandable', 'interstitial', 'cpm') then 'Display'
        when {{ is_paid }} then 'Paid Other'
        when {{ category }} = 'shopping' or {{ is_shopping }} then 'Organic Shopping'
        when
            {{ category }} = 'social'
            or {{ medium }} in ('social', 'social-network', 'social-media', 'sm', 'social network', 'social media')
            then 'Organic Social'
        when {{ category }} = 'video' or {{ medium }} like '%video%' then 'Organic Video'
        when {{ category }} = 'search' or {{ medium }} = 'organic' then 'Organic Search'
        when
            regexp_matches({{ source }}, '^e[-_ ]?mail$') or regexp_matches({{ medium }}, '^e[-_ ]?mail$')
            then 'Email'
        when {{ medium }} = 'affiliate' then 'Affiliates'
        when {{ medium }} in ('referral', 'app', 'link') then 'Referral'
        when {{ medium }} = 'audio' then 'Audio'
        when {{ source }} = 'sms' or {{ medium }} = 'sms' then 'SMS'
        when
            regexp_matches({{ medium }}, 'push$') or regexp_matches({{ medium }}, 'mobile|notification')
            or {{ source }} = 'firebase'
            then 'Mobile Push Notifications'
        else 'Unassigned'
    end
{%- endmacro %}

{# What a source is looked up by: itself, and the name a site goes by under any of its addresses (m.facebook.com → facebook). #}
{% macro source_label(source) -%}
    regexp_extract(lower({{ source }}), '^(?:(?:www|m|l|lm|amp|in|web|out|old)\.)*([^.]+)', 1)
{%- endmacro %}
