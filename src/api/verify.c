/*
 * verify.c - says what mr_verify found.
 *
 * Numbers of rows are the loaded ones and the found ones, in that order, everywhere. The JSON has a
 * member for each line of the text and for each column.
 */
#include "api/verify.h"

#include "api/pipeline.h"
#include "run/verify.h"

#include <inttypes.h>

static const char *const verdicts[] = {"equal", "different", "unknown"};
static const char *const scopes[] = {"all", "partitions", "where", "keys", "rows", "none"};

/* "3 rows are missing", "1 row too many", "rows differ" */
static void put_rows(struct mr_bytes *out, int64_t loaded, int64_t found)
{
    int64_t by = found > loaded ? found - loaded : loaded - found;
    const char *rows = by == 1 ? "row" : "rows";
    if (by == 0)
        mr_bytes_text(out, "rows have other values");
    else if (found < loaded)
        mr_bytes_printf(out, "%" PRId64 " %s missing", by, rows);
    else
        mr_bytes_printf(out, "%" PRId64 " %s too many", by, rows);
}

static void put_scope(struct mr_bytes *out, const struct mr_verified *load)
{
    const struct mr_ledger *ledger = load->ledger;
    switch (ledger->scope) {
    case MR_LEDGER_WHERE:
        mr_bytes_printf(out, "  compared: rows where %s (the last load)\n", ledger->text);
        break;
    case MR_LEDGER_PARTITIONS:
        mr_bytes_text(out, "  compared: the partitions that loads wrote, each as a whole\n");
        break;
    case MR_LEDGER_KEYS:
        mr_bytes_printf(out, "  compared: %s%" PRId64 " %s, by the last load of each\n",
                        load->sampled ? "a sample of " : "", load->rows_loaded,
                        load->rows_loaded == 1 ? "key" : "keys");
        break;
    default:
        break;
    }
}

static void put_columns(struct mr_bytes *out, const struct mr_verified *load)
{
    int differ = 0, compared = 0;
    for (int i = 0; i < load->ncolumns; i++) {
        compared += load->columns[i].why == NULL;
        differ += load->columns[i].why == NULL && !load->columns[i].same;
        if (load->columns[i].why)
            mr_bytes_printf(out, "  column %s: not compared: %s\n", load->columns[i].name,
                            load->columns[i].why);
    }
    /* Rows that are missing or too many change the sums of every column. */
    if (differ == 0 || (differ == compared && load->rows_loaded != load->rows_found))
        return;
    for (int i = 0; i < load->ncolumns; i++) {
        const struct mr_verified_column *column = &load->columns[i];
        if (column->why || column->same)
            continue;
        mr_bytes_printf(out, "  column %s: other values", column->name);
        if (column->nulls_loaded != column->nulls_found)
            mr_bytes_printf(out, "; NULL in %" PRId64 " rows, loaded %" PRId64, column->nulls_found,
                            column->nulls_loaded);
        mr_bytes_char(out, '\n');
    }
}

static void put_places(struct mr_bytes *out, const struct mr_verified *load)
{
    for (int i = 0; i < load->nplaces; i++) {
        const struct mr_verified_place *place = &load->places[i];
        mr_bytes_printf(out, "  %s: ", place->text);
        put_rows(out, place->rows_loaded, place->rows_found);
        if (place->row)
            mr_bytes_printf(out, ": %s", place->row);
        mr_bytes_char(out, '\n');
    }
    if (load->places_left_out > 0)
        mr_bytes_printf(out, "  .. and %" PRId64 " more places\n", load->places_left_out);
}

static void put_load(struct mr_bytes *out, const struct mr_verified *load)
{
    mr_bytes_printf(out, "%s %s: %s\n", load->step->label, load->target, verdicts[load->verdict]);
    if (!load->ledger || load->ledger->scope == MR_LEDGER_NONE) {
        mr_bytes_printf(out, "  %s\n", load->why ? load->why : "");
        return;
    }
    put_scope(out, load);
    mr_bytes_printf(out, "  %s: loaded %" PRId64 ", found %" PRId64,
                    load->ledger->scope == MR_LEDGER_KEYS ? "keys" : "rows", load->rows_loaded,
                    load->rows_found);
    if (load->rows_loaded != load->rows_found) {
        mr_bytes_text(out, ": ");
        put_rows(out, load->rows_loaded, load->rows_found);
    }
    mr_bytes_printf(out, " (%" PRId64 " %s)\n", load->ledger->loads,
                    load->ledger->loads == 1 ? "load" : "loads");
    if (load->rows_other > 0)
        mr_bytes_printf(out,
                        "  %" PRId64 " rows are in partitions that no counted load wrote: not "
                        "compared\n",
                        load->rows_other);
    if (load->rows_found > load->rows_loaded && load->ledger->scope == MR_LEDGER_ALL)
        mr_bytes_text(out, "  rows that others wrote, or that were there before the first counted "
                           "load, cannot be told from rows that came twice\n");
    put_columns(out, load);
    if (load->moved)
        mr_bytes_text(out, "  every column has its values, but rows have those of other rows\n");
    put_places(out, load);
    if (load->why)
        mr_bytes_printf(out, "  %s\n", load->why);
}

/* ---- JSON ---- */

static void put_member(struct mr_bytes *out, const char *name, const char *text)
{
    mr_bytes_printf(out, "\"%s\": ", name);
    if (text)
        mr_bytes_json_string(out, text, strlen(text));
    else
        mr_bytes_text(out, "null");
}

static void put_json_columns(struct mr_bytes *out, const struct mr_verified *load)
{
    mr_bytes_text(out, ", \"columns\": [");
    for (int i = 0; i < load->ncolumns; i++) {
        const struct mr_verified_column *column = &load->columns[i];
        mr_bytes_text(out, i ? ", {" : "{");
        put_member(out, "name", column->name);
        mr_bytes_printf(out,
                        ", \"same\": %s, \"nulls_loaded\": %" PRId64 ", \"nulls_found\": %" PRId64
                        ", ",
                        column->why    ? "null"
                        : column->same ? "true"
                                       : "false",
                        column->nulls_loaded, column->nulls_found);
        put_member(out, "why", column->why);
        mr_bytes_char(out, '}');
    }
    mr_bytes_char(out, ']');
}

static void put_json_places(struct mr_bytes *out, const struct mr_verified *load)
{
    mr_bytes_text(out, ", \"places\": [");
    for (int i = 0; i < load->nplaces; i++) {
        const struct mr_verified_place *place = &load->places[i];
        mr_bytes_text(out, i ? ", {" : "{");
        put_member(out, "place", place->text);
        mr_bytes_printf(out, ", \"rows_loaded\": %" PRId64 ", \"rows_found\": %" PRId64 ", ",
                        place->rows_loaded, place->rows_found);
        put_member(out, "row", place->row);
        mr_bytes_char(out, '}');
    }
    mr_bytes_printf(out, "], \"places_left_out\": %" PRId64, load->places_left_out);
}

static void put_json_load(struct mr_bytes *out, const struct mr_verified *load)
{
    const struct mr_ledger *ledger = load->ledger;
    mr_bytes_char(out, '{');
    put_member(out, "step", load->step->label);
    mr_bytes_text(out, ", ");
    put_member(out, "target", load->target);
    mr_bytes_text(out, ", ");
    put_member(out, "verdict", verdicts[load->verdict]);
    mr_bytes_text(out, ", ");
    put_member(out, "why", load->why);
    mr_bytes_text(out, ", ");
    put_member(out, "compared", ledger ? scopes[ledger->scope] : NULL);
    mr_bytes_text(out, ", ");
    put_member(out, "where", ledger && ledger->scope == MR_LEDGER_WHERE ? ledger->text : NULL);
    mr_bytes_printf(out,
                    ", \"loads\": %" PRId64 ", \"epoch\": %" PRId64 ", \"rows_loaded\": %" PRId64
                    ", \"rows_found\": %" PRId64 ", \"rows_other\": %" PRId64
                    ", \"sampled\": %s, \"moved\": %s",
                    ledger ? ledger->loads : 0, ledger ? ledger->last_epoch : 0, load->rows_loaded,
                    load->rows_found, load->rows_other, load->sampled ? "true" : "false",
                    load->moved ? "true" : "false");
    put_json_columns(out, load);
    put_json_places(out, load);
    mr_bytes_char(out, '}');
}

static void put_all(struct mr_bytes *out, const struct mr_verified *loads, int count, bool json)
{
    mr_bytes_text(out, json ? "{\"loads\": [" : "");
    for (int i = 0; i < count; i++) {
        if (json)
            mr_bytes_text(out, i ? ",\n  " : "\n  ");
        if (json)
            put_json_load(out, &loads[i]);
        else
            put_load(out, &loads[i]);
    }
    mr_bytes_text(out, json ? "\n]}\n" : "");
}

static int judge(const struct mr_verified *loads, int count)
{
    bool unknown = false;
    for (int i = 0; i < count; i++) {
        if (loads[i].verdict == MR_VERIFY_DIFFERENT)
            return MILLRACE_VALIDATION;
        unknown |= loads[i].verdict == MR_VERIFY_UNKNOWN;
    }
    return unknown ? MILLRACE_CONFIG : MILLRACE_OK;
}

int mr_api_verify(struct millrace_pipeline *pipeline, const struct mr_api_verify_options *options,
                  struct mr_bytes *out)
{
    struct mr_error err = {0};
    struct mr_verified *loads = NULL;
    struct mr_verify_options what = {.load = options->load, .most_places = options->most};
    int count = 0;
    mr_api_begin(pipeline);
    enum mr_status status = mr_verify(pipeline->session, &what, &loads, &count, &err);
    if (status == MR_OK) {
        put_all(out, loads, count, options->json);
        status = mr_bytes_status(out, &err);
    }
    int code = mr_api_end(pipeline, status, &err);
    return code == MILLRACE_OK ? judge(loads, count) : code;
}
