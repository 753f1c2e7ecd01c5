/*
 * query_print.c - queries back to text.
 *
 * For the plan's lines and for tests: what is printed parses to the same query.
 */
#include "sql/query.h"

#include <stddef.h>

static void print_names(struct mr_bytes *out, const char *open, const struct mr_query_name *names,
                        int count)
{
    for (int i = 0; i < count; i++) {
        mr_bytes_text(out, i == 0 ? open : ", ");
        mr_name_print(out, names[i].name);
    }
    if (count > 0)
        mr_bytes_char(out, ')');
}

static void print_from(struct mr_bytes *out, const struct mr_from *from, bool nested);

static void print_join(struct mr_bytes *out, const struct mr_from *from)
{
    static const char *const joins[] = {"JOIN",          "LEFT JOIN",  "RIGHT JOIN",
                                        "FULL JOIN",     "CROSS JOIN", "LEFT SEMI JOIN",
                                        "LEFT ANTI JOIN"};
    print_from(out, from->left, false);
    mr_bytes_printf(out, " %s%s ", from->natural ? "NATURAL " : "", joins[from->join]);
    print_from(out, from->right, true);
    if (from->on != NULL) {
        mr_bytes_text(out, " ON ");
        mr_ast_print(out, from->on);
    }
    print_names(out, " USING (", from->using, from->nusing);
}

static void print_windowed(struct mr_bytes *out, const struct mr_from *from)
{
    const struct mr_from_window *window = from->window;
    mr_bytes_printf(out, "TABLE(%s(TABLE ", window->name);
    mr_name_print(out, from->name);
    print_names(out, " PARTITION BY (", window->partitions, window->npartitions);
    print_names(out, ", DESCRIPTOR(", &window->time, 1);
    for (int i = 0; i < window->nsizes; i++) {
        mr_bytes_text(out, ", ");
        mr_ast_print(out, window->sizes[i]);
    }
    mr_bytes_text(out, "))");
}

static void print_from(struct mr_bytes *out, const struct mr_from *from, bool nested)
{
    if (from->kind == MR_FROM_JOIN) {
        mr_bytes_text(out, nested ? "(" : "");
        print_join(out, from);
        mr_bytes_text(out, nested ? ")" : "");
        return;
    }
    if (from->kind == MR_FROM_QUERY) {
        mr_bytes_char(out, '(');
        mr_query_print(out, from->query);
        mr_bytes_char(out, ')');
    } else if (from->window != NULL) {
        print_windowed(out, from);
    } else {
        mr_name_print(out, from->name);
    }
    if (from->alias != NULL) {
        mr_bytes_text(out, " AS ");
        mr_name_print(out, from->alias);
        print_names(out, "(", from->columns, from->ncolumns);
    }
}

static void print_items(struct mr_bytes *out, const struct mr_query *query)
{
    for (int i = 0; i < query->nitems; i++) {
        const struct mr_query_item *item = &query->items[i];
        mr_bytes_text(out, i ? ", " : "");
        if (item->qualifier != NULL) {
            mr_name_print(out, item->qualifier);
            mr_bytes_char(out, '.');
        }
        if (item->expr != NULL)
            mr_ast_print(out, item->expr);
        else
            mr_bytes_char(out, '*');
        print_names(out, " EXCEPT (", item->except, item->nexcept);
        if (item->alias != NULL) {
            mr_bytes_text(out, " AS ");
            mr_name_print(out, item->alias);
        }
    }
}

static void print_select(struct mr_bytes *out, const struct mr_query *query)
{
    mr_bytes_text(out, query->distinct ? "SELECT DISTINCT " : "SELECT ");
    print_items(out, query);
    if (query->from != NULL) {
        mr_bytes_text(out, " FROM ");
        print_from(out, query->from, false);
    }
    if (query->where != NULL) {
        mr_bytes_text(out, " WHERE ");
        mr_ast_print(out, query->where);
    }
    if (query->grouped)
        mr_bytes_text(out, query->group_all ? " GROUP BY ALL" : " GROUP BY ");
    for (int i = 0; i < query->ngroups; i++) {
        mr_bytes_text(out, i ? ", " : "");
        mr_ast_print(out, query->groups[i]);
    }
    if (query->having != NULL) {
        mr_bytes_text(out, " HAVING ");
        mr_ast_print(out, query->having);
    }
    for (int i = 0; i < query->nwindows; i++) {
        mr_bytes_text(out, i ? ", " : " WINDOW ");
        mr_name_print(out, query->windows[i].name);
        mr_bytes_text(out, " AS ");
        mr_window_print(out, query->windows[i].spec);
    }
}

static bool needs_parentheses(const struct mr_query *query)
{
    return query->kind != MR_QUERY_SELECT || query->norders > 0 || query->order_all ||
           query->limit != NULL || query->offset != NULL || query->nctes > 0;
}

static void print_terms(struct mr_bytes *out, const struct mr_query *query)
{
    static const char *const names[] = {"", "UNION", "INTERSECT", "EXCEPT"};
    for (int i = 0; i < query->nterms; i++) {
        bool open = needs_parentheses(query->terms[i]);
        if (i > 0)
            mr_bytes_printf(out, " %s%s ", names[query->kind], query->all ? " ALL" : "");
        mr_bytes_text(out, open ? "(" : "");
        mr_query_print(out, query->terms[i]);
        mr_bytes_text(out, open ? ")" : "");
    }
}

static void print_tail(struct mr_bytes *out, const struct mr_query *query)
{
    if (query->order_all) {
        mr_bytes_printf(out, " ORDER BY ALL%s NULLS %s", query->order_all_descending ? " DESC" : "",
                        query->order_all_nulls_first ? "FIRST" : "LAST");
    } else if (query->norders > 0) {
        mr_bytes_text(out, " ORDER BY ");
        mr_orders_print(out, query->orders, query->norders);
    }
    if (query->limit != NULL) {
        mr_bytes_text(out, " LIMIT ");
        mr_ast_print(out, query->limit);
    }
    if (query->offset != NULL) {
        mr_bytes_text(out, " OFFSET ");
        mr_ast_print(out, query->offset);
    }
}

void mr_query_print(struct mr_bytes *out, const struct mr_query *query)
{
    if (out->status != MR_OK)
        return;
    for (int i = 0; i < query->nctes; i++) {
        const struct mr_query_cte *cte = &query->ctes[i];
        mr_bytes_text(out, i ? ", " : "WITH ");
        mr_name_print(out, cte->name);
        print_names(out, "(", cte->columns, cte->ncolumns);
        mr_bytes_text(out, " AS (");
        mr_query_print(out, cte->query);
        mr_bytes_char(out, ')');
    }
    mr_bytes_text(out, query->nctes > 0 ? " " : "");
    if (query->kind == MR_QUERY_SELECT)
        print_select(out, query);
    else
        print_terms(out, query);
    print_tail(out, query);
    if (query->emit != MR_QUERY_EMIT_DEFAULT)
        mr_bytes_text(out, query->emit == MR_QUERY_EMIT_FINAL ? " EMIT FINAL" : " EMIT CHANGES");
}
