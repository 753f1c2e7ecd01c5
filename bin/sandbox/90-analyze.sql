ANALYZE users, orders, order_items, events, large_table, model_requests;
