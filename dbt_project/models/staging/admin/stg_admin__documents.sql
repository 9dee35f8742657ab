{{ config(
    materialized='incremental',
    replaced_by='order_id',
    replaced_units='admin_documents',
    later_by=['uploaded_at'],
    tracks=['order_id']
) }}
with

documents as (
    {{ fit_rows('admin', 'admin_documents', part=only_changed()) }}
),

cleaned as (
    select distinct
        order_id,
        doc_type,
        {{ utc_from_local_text('uploaded_at') }} as uploaded_at
    from documents
    where order_id is not null
)

select
    {{ key_of(['order_id', 'doc_type', 'uploaded_at']) }} as document_id,
    order_id,
    doc_type,
    uploaded_at
from cleaned
where uploaded_at <= {{ as_of() }}
