/*
 * report.c - builds the report from counters, exec statistics and the outcome.
 *
 * Built with jansson rather than printed, so that every text in it is escaped rightly. A value that a failed run does not have is
 * left out.
 */
#include "run/report.h"

#include "base/time.h"
#include "run/kpi.h"
#include "run/machine.h"
#include "run/report_steps.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

static json_t *milliseconds(int64_t micros)
{
    return json_real((double)micros / 1000.0);
}

static json_t *instant(int64_t micros)
{
    char text[MR_TIME_TEXT_MAX];
    int size = mr_timestamp_format(micros, 'T', text);
    return json_sprintf("%.*sZ", size, text);
}

static json_t *splits_report(const struct mr_plan *plan, const struct mr_exec_result *result)
{
    json_t *out = json_array();
    for (int i = 0; i < result->nsplits; i++) {
        const struct mr_exec_split *split = &result->splits[i];
        const struct mr_plan_segment *segment = &plan->segments[split->segment];
        if (split->split < 0 || split->split >= segment->nsplits)
            continue;
        const struct mr_plan_split *planned = &segment->splits[split->split];
        const struct mr_plan_node *node = &plan->nodes[planned->node];
        const struct mr_split *known = &node->splits.items[planned->split];
        json_t *entry = json_object();
        json_object_set_new(entry, "step", json_string(node->step->label));
        json_object_set_new(entry, "split", json_string(known->label ? known->label : ""));
        json_object_set_new(entry, "rows", json_integer(split->rows));
        if (split->kept)
            json_object_set_new(entry, "kept", json_true());
        if (known->rows >= 0)
            json_object_set_new(entry, "predicted_rows", json_integer(known->rows));
        json_object_set_new(entry, "bytes", json_integer(split->bytes));
        if (known->bytes >= 0)
            json_object_set_new(entry, "predicted_bytes", json_integer(known->bytes));
        json_object_set_new(entry, "ms", milliseconds(split->micros));
        json_array_append_new(out, entry);
    }
    return out;
}

static json_t *kpis_report(const struct mr_figures *figures, const struct mr_exec_result *result)
{
    struct mr_kpi kpis[MR_KPIS];
    json_t *out = json_array();
    mr_kpi_compute(figures, result, kpis);
    for (int i = 0; i < MR_KPIS; i++) {
        json_t *entry = json_object();
        json_object_set_new(entry, "name", json_string(kpis[i].name));
        json_object_set_new(entry, "value", json_real(kpis[i].value));
        json_object_set_new(entry, "unit", json_string(kpis[i].unit));
        json_object_set_new(entry, "verdict", json_string(kpis[i].verdict));
        json_array_append_new(out, entry);
    }
    return out;
}

static json_t *error_report(const struct mr_error *failure)
{
    json_t *out = json_object();
    json_object_set_new(out, "kind", json_string(mr_status_name(failure->status)));
    json_object_set_new(out, "class", json_string(mr_error_class_name(failure->cls)));
    json_object_set_new(out, "message", json_string(failure->message));
    if (failure->where[0])
        json_object_set_new(out, "where", json_string(failure->where));
    if (failure->hint[0])
        json_object_set_new(out, "hint", json_string(failure->hint));
    return out;
}

/* How often anything was tried again, and the first of these attempts. */
static json_t *retries_report(struct mr_retry_log *log)
{
    json_t *out = json_object();
    json_t *list = json_array();
    pthread_mutex_lock(&log->lock);
    for (int i = 0; i < log->count; i++) {
        const struct mr_retry_entry *entry = &log->entries[i];
        json_t *item = json_object();
        json_object_set_new(item, "step", json_string(entry->step));
        json_object_set_new(item, "unit", json_string(entry->unit));
        json_object_set_new(item, "class", json_string(mr_error_class_name(entry->cls)));
        json_object_set_new(item, "attempt", json_integer(entry->attempt));
        json_object_set_new(item, "delay_ms", milliseconds(entry->delay_micros));
        json_object_set_new(item, "message", json_string(entry->message));
        json_array_append_new(list, item);
    }
    json_object_set_new(out, "total", json_integer(log->total));
    pthread_mutex_unlock(&log->lock);
    json_object_set_new(out, "list", list);
    return out;
}

static void add_machine(json_t *out, const struct mr_session *session, int64_t wall)
{
    json_t *resources = json_object();
    json_object_set_new(resources, "parallelism", json_integer(session->runtime.parallelism));
    json_object_set_new(resources, "memory_limit_bytes", json_integer(session->memory.limit));
    json_object_set_new(resources, "memory_peak_bytes",
                        json_integer(mr_memory_peak(&session->memory)));
    json_object_set_new(resources, "process_peak_bytes", json_integer(mr_machine_peak_rss()));
    json_object_set_new(resources, "cpu_ms", milliseconds(mr_clock_process_cpu_nanos() / 1000));
    json_object_set_new(out, "duration_ms", milliseconds(wall));
    json_object_set_new(out, "resources", resources);
}

/* The checkpoints that the run began at, with what an earlier one had made durable. */
static void add_resumed(json_t *out, const struct mr_plan *plan)
{
    json_t *resumed = json_array();
    for (int i = 0; plan && i < plan->nstages; i++) {
        const struct mr_plan_stage *stage = &plan->stages[i];
        if (!stage->used)
            continue;
        json_t *entry = json_object();
        json_object_set_new(entry, "step", json_string(stage->step->label));
        json_object_set_new(entry, "run", json_string(stage->restored->run_id));
        json_object_set_new(entry, "rows", json_integer(stage->restored->rows));
        json_array_append_new(resumed, entry);
    }
    if (json_array_size(resumed) > 0)
        json_object_set(out, "resumed_from", resumed);
    json_decref(resumed);
}

static void add_rows(json_t *out, const struct mr_figures *figures)
{
    struct mr_figure_rows rows;
    mr_figures_rows(figures, &rows);
    json_object_set_new(out, "rows_read", json_integer(rows.read));
    json_object_set_new(out, "rows_written", json_integer(rows.written));
    json_object_set_new(out, "rows_rejected", json_integer(rows.rejected));
    json_object_set_new(out, "rows_late", json_integer(rows.late));
    json_object_set_new(out, "rows_dead_lettered", json_integer(rows.letters));
    json_object_set_new(out, "bytes_read", json_integer(rows.bytes_read));
    json_object_set_new(out, "bytes_written", json_integer(rows.bytes_written));
}

/* What the file says of itself: its name and, where it has them, its description and metadata. */
static void add_pipeline(json_t *out, const struct mr_spec *spec)
{
    json_object_set_new(out, "pipeline", json_string(spec->name));
    if (spec->description)
        json_object_set_new(out, "description", json_string(spec->description));
    if (spec->metadata_json)
        json_object_set_new(out, "metadata",
                            json_loads(spec->metadata_json, JSON_DECODE_ANY, NULL));
}

static char *to_text(json_t *report)
{
    char *text = json_dumps(report, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(report);
    char *copy = text ? mr_strdup(text) : NULL;
    free(text);
    return copy;
}

static void add_status(json_t *out, enum mr_status status, int exit_code)
{
    json_object_set_new(out, "status",
                        json_string(status == MR_OK          ? "success"
                                    : status == MR_CANCELLED ? "cancelled"
                                                             : "failed"));
    json_object_set_new(out, "exit_code", json_integer(exit_code));
}

static void add_text(json_t *out, const char *key, const char *text)
{
    if (text)
        json_object_set_new(out, key, json_string(text));
}

char *mr_report_brief(const struct mr_report_brief *brief)
{
    json_t *out = json_object();
    int64_t took = mr_clock_wall_micros() - brief->started;
    json_object_set_new(out, "report_version", json_integer(MR_REPORT_VERSION));
    add_text(out, "run_id", brief->run_id);
    add_text(out, "pipeline", brief->pipeline);
    add_text(out, "file", brief->file);
    add_text(out, "state_key", brief->state_key);
    add_status(out, brief->status, brief->exit_code);
    json_object_set_new(out, "started", instant(brief->started));
    json_object_set_new(out, "error", error_report(brief->failure));
    json_object_set_new(out, "duration_ms", milliseconds(took > 0 ? took : 0));
    return to_text(out);
}

static json_t *lane_report(const struct mr_report_lane *lane)
{
    json_t *out = json_object();
    add_text(out, "lane", lane->name);
    add_text(out, "run_id", lane->run_id[0] ? lane->run_id : NULL);
    json_object_set_new(out, "given", json_integer(lane->given));
    json_object_set_new(out, "starts", json_integer(lane->starts));
    json_object_set_new(out, "rows_read", json_integer(lane->rows_read));
    json_object_set_new(out, "rows_written", json_integer(lane->rows_written));
    if (lane->epoch >= 0)
        json_object_set_new(out, "epoch", json_integer(lane->epoch));
    return out;
}

char *mr_report_of_lanes(struct mr_session *session, enum mr_status status,
                         const struct mr_error *failure, const struct mr_report_lane *lanes,
                         int count)
{
    int64_t wall = mr_clock_monotonic_micros() - session->start_monotonic, read = 0, written = 0;
    json_t *out = json_object(), *list = json_array();
    json_object_set_new(out, "report_version", json_integer(MR_REPORT_VERSION));
    json_object_set_new(out, "run_id", json_string(session->run_id));
    add_pipeline(out, session->spec);
    json_object_set_new(out, "file", json_string(session->spec->file));
    json_object_set_new(out, "state_key", json_string(session->spec->state_key));
    add_status(out, status, mr_session_exit_code(session, status));
    json_object_set_new(out, "started", instant(session->start_wall));
    if (status != MR_OK)
        json_object_set_new(out, "error", error_report(failure));
    add_machine(out, session, wall);
    for (int i = 0; i < count; i++) {
        read += lanes[i].rows_read;
        written += lanes[i].rows_written;
        json_array_append_new(list, lane_report(&lanes[i]));
    }
    json_object_set_new(out, "rows_read", json_integer(read));
    json_object_set_new(out, "rows_written", json_integer(written));
    json_object_set_new(out, "lanes", list);
    return to_text(out);
}

/* What was kept of an unfinished run, or why nothing was. */
static void add_kept(json_t *out, const struct mr_resume *resume)
{
    bool kept = resume && resume->exec.nkept > 0;
    if (!resume || (!kept && !(resume->run_id && resume->reason)))
        return;
    json_t *resumed = json_object();
    json_object_set_new(resumed, "run", json_string(resume->run_id ? resume->run_id : ""));
    json_object_set_new(resumed, "splits", json_integer(resume->splits));
    json_object_set_new(resumed, "rows", json_integer(resume->rows));
    if (!kept)
        json_object_set_new(resumed, "reason", json_string(resume->reason));
    json_object_set_new(out, "resumed", resumed);
}

/* How many epochs, and how long they took. */
static void add_stream(json_t *out, const struct mr_session *session, struct mr_totals *totals)
{
    json_t *stream = json_object();
    if (totals == NULL) {
        json_decref(stream);
        return;
    }
    add_text(stream, "query", session->spec->stream.query_name);
    pthread_mutex_lock(&totals->lock);
    double mean = totals->epochs > 0 ? (double)totals->micros / (double)totals->epochs : 0;
    json_object_set_new(stream, "epochs", json_integer(totals->epochs));
    json_object_set_new(stream, "epochs_failed", json_integer(totals->failures));
    json_object_set_new(stream, "epoch_ms_mean", milliseconds((int64_t)mean));
    json_object_set_new(stream, "epoch_ms_max", milliseconds(totals->longest_micros));
    struct mr_latency_figures ages = {0};
    if (totals->latency != NULL)
        mr_latency_read(totals->latency, &ages);
    pthread_mutex_unlock(&totals->lock);
    if (ages.count > 0) {
        json_t *latency = json_object();
        json_object_set_new(latency, "records", json_integer(ages.count));
        json_object_set_new(latency, "p50", milliseconds(ages.p50));
        json_object_set_new(latency, "p95", milliseconds(ages.p95));
        json_object_set_new(latency, "p99", milliseconds(ages.p99));
        json_object_set_new(latency, "max", milliseconds(ages.max));
        json_object_set_new(stream, "latency_ms", latency);
    }
    json_object_set_new(out, "stream", stream);
}

static void add_steps(json_t *out, const struct mr_report_input *input, int64_t wall)
{
    const struct mr_figures *figures = input->figures;
    const struct mr_plan *plan = input->session->plan;
    struct mr_bytes advice;
    mr_bytes_init(&advice, 4096);
    mr_kpi_advice(figures, wall, &advice);
    json_object_set_new(out, "fingerprint", json_string(figures->fingerprint));
    json_object_set_new(out, "steps", mr_report_steps(figures, plan));
    json_object_set_new(out, "splits", splits_report(plan, input->result));
    json_object_set_new(out, "kpis", kpis_report(figures, input->result));
    json_object_set_new(out, "advice", json_string(advice.data ? advice.data : ""));
    mr_bytes_reset(&advice);
}

char *mr_report_build(const struct mr_report_input *input)
{
    struct mr_session *session = input->session;
    const struct mr_plan *plan = session->plan;
    int64_t wall = mr_clock_monotonic_micros() - session->start_monotonic;
    json_t *out = json_object();
    json_object_set_new(out, "report_version", json_integer(MR_REPORT_VERSION));
    json_object_set_new(out, "run_id", json_string(session->run_id));
    add_pipeline(out, session->spec);
    json_object_set_new(out, "file", json_string(session->spec->file));
    json_object_set_new(out, "state_key", json_string(session->spec->state_key));
    add_status(out, input->status, mr_session_exit_code(session, input->status));
    json_object_set_new(out, "started", instant(session->start_wall));
    json_object_set_new(out, "epoch", json_integer(input->epoch));
    if (session->request.run_key)
        json_object_set_new(out, "run_key", json_string(session->request.run_key));
    if (input->skipped_run)
        json_object_set_new(out, "skipped", json_pack("{s:s}", "run", input->skipped_run));
    if (input->withdrawn_run)
        json_object_set_new(out, "withdrawn",
                            json_pack("{s:s, s:s}", "run", input->withdrawn_run, "reason",
                                      input->withdrawn_reason ? input->withdrawn_reason : ""));
    if (input->recovered_run)
        json_object_set_new(out, "finished_run", json_string(input->recovered_run));
    add_resumed(out, plan);
    add_kept(out, input->resume);
    if (input->status != MR_OK)
        json_object_set_new(out, "error", error_report(input->failure));
    add_machine(out, session, wall);
    add_rows(out, input->figures);
    add_stream(out, session, input->stream);
    json_object_set_new(out, "retries", retries_report(&session->retries));
    if (plan || input->figures->count > 0)
        add_steps(out, input, wall);
    return to_text(out);
}

static enum mr_status write_text(const char *path, const char *mode, const char *text,
                                 struct mr_error *err)
{
    FILE *file = fopen(path, mode);
    if (!file)
        return mr_error_errno(err, MR_SINK, errno, "cannot open %s", path);
    bool ok = fputs(text, file) >= 0 && fputc('\n', file) != EOF && fflush(file) == 0;
    int saved = errno;
    if (fclose(file) != 0 || !ok)
        return mr_error_errno(err, MR_SINK, saved, "cannot write %s", path);
    return MR_OK;
}

enum mr_status mr_report_write(const char *path, const char *text, struct mr_error *err)
{
    struct mr_bytes temporary;
    if (!strcmp(path, "-"))
        return fputs(text, stdout) >= 0 && fputc('\n', stdout) != EOF
                   ? MR_OK
                   : mr_error_errno(err, MR_SINK, errno, "cannot write the report");
    mr_bytes_init(&temporary, 1 << 16);
    mr_bytes_printf(&temporary, "%s.%d.tmp", path, (int)getpid());
    enum mr_status status = mr_bytes_status(&temporary, err);
    if (status == MR_OK)
        status = write_text(temporary.data, "we", text, err);
    if (status == MR_OK && rename(temporary.data, path) != 0)
        status = mr_error_errno(err, MR_SINK, errno, "cannot write %s", path);
    if (status != MR_OK && temporary.data)
        unlink(temporary.data);
    mr_bytes_reset(&temporary);
    return status;
}

/* Numbers at the top of the report as Prometheus' text exposition format 0.0.4. */
static void prometheus(const json_t *report, const char *pipeline, struct mr_bytes *out)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)report, key, value)
    {
        if (!json_is_number(value))
            continue;
        mr_bytes_printf(out, "# TYPE millrace_%s gauge\nmillrace_%s{pipeline=", key, key);
        mr_bytes_json_string(out, pipeline, strlen(pipeline));
        mr_bytes_printf(out, "} %.17g\n", json_number_value(value));
    }
}

enum mr_status mr_report_write_metrics(struct mr_session *session, const char *report,
                                       struct mr_error *err)
{
    const struct mr_spec *spec = session->spec;
    const char *format = spec->metrics_format ? spec->metrics_format : "json";
    struct mr_bytes path, text;
    enum mr_status status = MR_OK;
    mr_bytes_init(&path, 1 << 16);
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    bool absolute = spec->metrics_path[0] == '/' || !spec->directory[0];
    mr_bytes_printf(&path, "%s%s%s", absolute ? "" : spec->directory, absolute ? "" : "/",
                    spec->metrics_path);
    json_t *parsed = json_loads(report, 0, NULL);
    if (!parsed || mr_bytes_status(&path, NULL) != MR_OK) {
        status = mr_error_nomem(err);
    } else if (!strcmp(format, "jsonl")) {
        char *line = json_dumps(parsed, JSON_COMPACT | JSON_REAL_PRECISION(9));
        status = line ? write_text(path.data, "ae", line, err) : mr_error_nomem(err);
        free(line);
    } else if (!strcmp(format, "prometheus")) {
        prometheus(parsed, spec->name, &text);
        status = mr_report_write(path.data, text.data ? text.data : "", err);
    } else {
        status = mr_report_write(path.data, report, err);
    }
    json_decref(parsed);
    mr_bytes_reset(&path);
    mr_bytes_reset(&text);
    return status;
}
