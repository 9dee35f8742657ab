{# First came from a link on another site, an affiliate or a shop or video site. #}
{{ acquisition_segment('referral') }}
