/*
 * watermark.c - `millrace watermark show FILE [--json]`: where incremental reading has ended; `millrace watermark set FILE --step NAME
 * VALUE` or `--clear`: where it goes on; of a stream that a group shares with `--lane NAME`.
 */
#include "cli/cli.h"

#include "api/watermark.h"
#include "base/time.h"

#include <stdio.h>

static void put_text(struct mr_bytes *out, const char *name, const char *text, const char *end)
{
    mr_bytes_printf(out, "\"%s\": ", name);
    if (text)
        mr_bytes_json_string(out, text, strlen(text));
    else
        mr_bytes_text(out, "null");
    mr_bytes_text(out, end);
}

static void put_time(struct mr_bytes *out, const char *name, int64_t micros, const char *end)
{
    char text[MR_TIME_TEXT_MAX];
    if (micros > 0)
        mr_timestamp_format(micros, ' ', text);
    put_text(out, name, micros > 0 ? text : NULL, end);
}

static void put_json(struct mr_bytes *out, const struct mr_api_watermarks *all)
{
    mr_bytes_char(out, '{');
    if (all->lane)
        put_text(out, "lane", all->lane, ", ");
    mr_bytes_printf(out, "\"epoch\": %lld, ", (long long)all->epoch);
    put_text(out, "runId", all->run_id, ", ");
    put_time(out, "time", all->time_micros, ", ");
    mr_bytes_printf(out, "\"unfinished\": %s, ", all->unfinished ? "true" : "false");
    put_text(out, "lastRunTimestamp", all->safe_time, ", \"steps\": [");
    for (int i = 0; i < all->count; i++) {
        const struct mr_api_watermark *item = &all->items[i];
        mr_bytes_text(out, i ? ", {" : "{");
        put_text(out, "step", item->step, ", ");
        put_text(out, "label", item->label, ", ");
        put_text(out, "method", item->method, ", ");
        put_text(out, "watermark", item->text, ", ");
        put_text(out, "initial", item->initial, ", ");
        put_text(out, "setBy", !item->text ? NULL : item->by_person ? "person" : "run", ", ");
        put_text(out, "runId", item->run_id, ", ");
        put_time(out, "time", item->time_micros, ", ");
        put_text(out, "guarantee", item->guarantee, "}");
    }
    mr_bytes_char(out, ']');
    for (int i = 0; i < all->nlanes; i++) {
        mr_bytes_text(out, i ? ",\n  " : ", \"lanes\": [\n  ");
        put_json(out, &all->lanes[i]);
    }
    mr_bytes_text(out, all->nlanes ? "\n]}" : "}");
}

static void put_setter(struct mr_bytes *out, const char *what, const char *run_id, int64_t micros,
                       int64_t epoch)
{
    char time[MR_TIME_TEXT_MAX];
    mr_bytes_printf(out, "  %s", what);
    if (run_id)
        mr_bytes_printf(out, " %s", run_id);
    if (micros > 0) {
        mr_timestamp_format(micros / 1000000 * 1000000, ' ', time);
        mr_bytes_printf(out, ", %s UTC", time);
    }
    mr_bytes_printf(out, ", epoch %lld\n", (long long)epoch);
}

static void put_item(struct mr_bytes *out, const struct mr_api_watermarks *all,
                     const struct mr_api_watermark *item)
{
    if (all->lane)
        mr_bytes_printf(out, "lane %s, ", all->lane);
    mr_bytes_printf(out, "%s (%s): ", item->step, item->label ? item->label : item->method);
    if (item->text && all->shared)
        mr_bytes_printf(out, "lanes that nobody has read yet begin at %s\n", item->text);
    else if (item->text)
        mr_bytes_printf(out, "%s\n", item->text[0] ? item->text : "nothing was there to read yet");
    else if (item->initial)
        mr_bytes_printf(out, "none; the next run begins at the initial %s\n", item->initial);
    else
        mr_bytes_printf(out, "none; the next run %s\n",
                        all->lane ? "begins where the group began" : "reads everything");
    if (item->text && !all->shared)
        put_setter(out, item->by_person ? "set by hand" : "set by the run", item->run_id,
                   item->time_micros, all->epoch);
    if (item->guarantee)
        mr_bytes_printf(out, "  guarantee: %s\n", item->guarantee);
    if (!item->label)
        mr_bytes_text(out, "  the file has no such incremental step any more\n");
}

static void put_lanes(struct mr_bytes *out, const struct mr_api_watermarks *all)
{
    for (int i = 0; i < all->nlanes; i++) {
        const struct mr_api_watermarks *lane = &all->lanes[i];
        for (int k = 0; k < lane->count; k++)
            put_item(out, lane, &lane->items[k]);
        if (lane->safe_time)
            mr_bytes_printf(out, "  ${last_run_timestamp}: %s\n", lane->safe_time);
        if (lane->unfinished)
            mr_bytes_text(out,
                          "  was interrupted in its commit; who reads it next finishes that\n");
    }
}

static void put_plain(struct mr_bytes *out, const struct mr_api_watermarks *all)
{
    put_lanes(out, all);
    for (int i = 0; i < all->count; i++)
        put_item(out, all, &all->items[i]);
    if (all->shared)
        return;
    if (all->count == 0)
        mr_bytes_text(out, "no step reads incrementally\n");
    mr_bytes_printf(out, "${last_run_timestamp} of other steps: %s\n",
                    all->safe_time ? all->safe_time
                                   : "not known; the next run gets 1970-01-01 00:00:00");
    if (all->safe_time && all->run_id)
        put_setter(out, "last committed run", all->run_id, all->time_micros, all->epoch);
    if (all->unfinished)
        mr_bytes_text(out, "a run was interrupted in its commit; the next start finishes it\n");
}

static enum mr_status show(struct millrace_pipeline *pipeline, bool json, struct mr_error *err)
{
    struct mr_arena arena;
    struct mr_api_watermarks all;
    struct mr_bytes text;
    mr_arena_init(&arena, NULL);
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    enum mr_status status = mr_api_watermarks(pipeline, &arena, &all, err);
    if (status == MR_OK) {
        if (json)
            put_json(&text, &all);
        else
            put_plain(&text, &all);
        if (json)
            mr_bytes_char(&text, '\n');
        status = mr_bytes_status(&text, err);
    }
    if (status == MR_OK)
        fputs(text.data, stdout);
    mr_bytes_reset(&text);
    mr_arena_reset(&arena);
    return status;
}

static enum mr_status set(struct millrace_pipeline *pipeline, const struct mr_cli_options *options,
                          struct mr_error *err)
{
    const char *unchecked = NULL;
    struct mr_api_watermark_change change = {.step = options->step,
                                             .lane = options->lane,
                                             .text = options->clear ? NULL : options->files[2]};
    MR_TRY(mr_api_watermark_set(pipeline, &change, &unchecked, err));
    if (unchecked)
        fprintf(stderr, "warning: the value could not be checked: %s\n", unchecked);
    return show(pipeline, options->json, err);
}

static int usage(void)
{
    fprintf(stderr,
            "millrace watermark: use `millrace watermark show FILE`, `millrace watermark set "
            "FILE --step NAME VALUE` or `.. set FILE --step NAME --clear`; without --step: "
            "${last_run_timestamp} of steps that are not incremental; of a stream with "
            "`group` one lane: --lane TOPIC/PARTITION\n");
    return MILLRACE_USAGE;
}

int mr_cli_watermark(int argc, char **argv)
{
    struct mr_cli_options options;
    struct millrace_pipeline *pipeline = NULL;
    struct mr_error err = {0};
    int code = mr_cli_parse_quiet(argc, argv, "pcCSLFjskE", 0, 3, &options);
    if (code != 0)
        return code;
    bool sets = options.nfiles > 0 && strcmp(options.files[0], "set") == 0;
    bool shows = options.nfiles == 2 && strcmp(options.files[0], "show") == 0;
    if (shows ? options.step || options.lane || options.clear
              : !sets || options.nfiles != 3 - options.clear)
        return usage();
    code = mr_cli_open(&options, 1, &pipeline);
    if (code == MILLRACE_OK) {
        mr_api_begin(pipeline);
        enum mr_status status =
            shows ? show(pipeline, options.json, &err) : set(pipeline, &options, &err);
        code = mr_api_end(pipeline, status, &err);
        if (code != MILLRACE_OK)
            mr_cli_print_errors(pipeline);
    }
    return mr_cli_close(pipeline, code);
}
