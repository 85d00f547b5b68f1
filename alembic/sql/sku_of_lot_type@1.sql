-- The SKU that a lot's type asks for, NULL where it asks for none. Guards of lots and of their genealogy call it.
CREATE FUNCTION sku_of_lot_type(type lot_type) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN type IN ('SKW15', 'FRZ15', 'FG15') THEN '15' WHEN type IN ('SKW30', 'FRZ30', 'FG30') THEN '30'
       END;
