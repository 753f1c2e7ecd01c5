/*
 * metrics.c - /metrics, /healthz and /readyz as text.
 *
 * A family of samples (HELP, TYPE, then all of them) goes over all runs, because the format wants it in one piece; so the locks of all sums are
 * held while the page is made, in the order of the runs. Nobody else takes more than one of them.
 *
 *   # HELP millrace_source_lag_offsets Offsets between ...
 *   # TYPE millrace_source_lag_offsets gauge
 *   millrace_source_lag_offsets{pipeline="orders",step="step 1 (fromKafka)",topic="events",partition="0"} 120
 *
 * Names are base units, _total where a number only grows while the process lives. What is not known has no sample: an alert on it wants
 * absent().
 *
 * Health is told apart from readiness as those who restart processes do: a target that is away is no reason to restart a stream, which goes on by
 * itself when it is back; one that hangs is.
 */
#include "run/metrics.h"

#include "base/time.h"
#include "ext/event_clock.h"
#include "run/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct page {
    const struct mr_metrics *metrics;
    struct mr_bytes *out;
    const char *name;
    int64_t wall;
};

static void put_label(struct mr_bytes *out, const char *key, const char *value, size_t size)
{
    mr_bytes_printf(out, "%s=\"", key);
    for (size_t i = 0; i < size; i++) {
        if (value[i] == '\n')
            mr_bytes_text(out, "\\n");
        else if (value[i] == '"' || value[i] == '\\')
            mr_bytes_printf(out, "\\%c", value[i]);
        else
            mr_bytes_char(out, value[i]);
    }
    mr_bytes_char(out, '"');
}

static void family(struct page *page, const char *name, const char *type, const char *help)
{
    page->name = name;
    mr_bytes_printf(page->out, "# HELP millrace_%s %s\n# TYPE millrace_%s %s\n", name, help, name,
                    type);
}

/* millrace_<name><suffix>{pipeline="..",lane=".."; labels of its own and the value follow. `run` NULL: of the process. */
static void begin_sample(struct page *page, const char *suffix, const struct mr_metrics_run *run)
{
    mr_bytes_printf(page->out, "millrace_%s%s{", page->name, suffix);
    put_label(page->out, "pipeline", page->metrics->pipeline, strlen(page->metrics->pipeline));
    if (run != NULL && run->lane != NULL) {
        mr_bytes_char(page->out, ',');
        put_label(page->out, "lane", run->lane, strlen(run->lane));
    }
}

static void more_label(struct page *page, const char *key, const char *value, size_t size)
{
    mr_bytes_char(page->out, ',');
    put_label(page->out, key, value, size);
}

static void end_sample(struct page *page, double value)
{
    if (value >= -9e15 && value <= 9e15 && value == (double)(int64_t)value)
        mr_bytes_printf(page->out, "} %lld\n", (long long)value);
    else
        mr_bytes_printf(page->out, "} %.17g\n", value);
}

static void of_process(struct page *page, const char *name, const char *type, const char *help,
                       double value)
{
    family(page, name, type, help);
    begin_sample(page, "", NULL);
    end_sample(page, value);
}

/* ---- one number a run ---- */

struct number {
    const char *name, *type, *help;
    double (*of)(const struct mr_metrics_run *run); /* negative: there is none */
};

static double rows_read(const struct mr_metrics_run *run)
{
    return (double)run->totals->rows.read;
}
static double rows_written(const struct mr_metrics_run *run)
{
    return (double)run->totals->rows.written;
}
static double bytes_read(const struct mr_metrics_run *run)
{
    return (double)run->totals->rows.bytes_read;
}
static double bytes_written(const struct mr_metrics_run *run)
{
    return (double)run->totals->rows.bytes_written;
}
static double rows_rejected(const struct mr_metrics_run *run)
{
    return (double)run->totals->rows.rejected;
}
static double rows_late(const struct mr_metrics_run *run)
{
    return (double)run->totals->rows.late;
}
static double rows_dead_lettered(const struct mr_metrics_run *run)
{
    return (double)run->totals->rows.letters;
}
static double epochs(const struct mr_metrics_run *run)
{
    return (double)run->totals->epochs;
}
static double epochs_failed(const struct mr_metrics_run *run)
{
    return (double)run->totals->failures;
}
static double failures_in_row(const struct mr_metrics_run *run)
{
    return run->totals->in_row;
}
static double retries(const struct mr_metrics_run *run)
{
    struct mr_retry_log *log = &run->session->retries;
    pthread_mutex_lock(&log->lock);
    int64_t total = log->total;
    pthread_mutex_unlock(&log->lock);
    return (double)total;
}
static double epoch_number(const struct mr_metrics_run *run)
{
    return (double)run->totals->epoch;
}
static double epoch_seconds(const struct mr_metrics_run *run)
{
    return (double)run->totals->micros / 1e6;
}
static double last_commit(const struct mr_metrics_run *run)
{
    return run->totals->committed != 0 ? (double)run->totals->committed / 1e6 : -1;
}
static double last_look(const struct mr_metrics_run *run)
{
    return run->totals->looked != 0 ? (double)run->totals->looked / 1e6 : -1;
}
static double working(const struct mr_metrics_run *run)
{
    int64_t since = run->totals->working;
    return since != 0 ? (double)(mr_clock_monotonic_micros() - since) / 1e6 : 0;
}

static const struct number numbers[] = {
    {"rows_read_total", "counter", "Rows that sources have given, of committed epochs.", rows_read},
    {"rows_written_total", "counter", "Rows that loads have committed.", rows_written},
    {"rows_rejected_total", "counter",
     "Rows that validations have rejected or that could not be decoded, of committed epochs.",
     rows_rejected},
    {"rows_late_total", "counter", "Rows behind the watermark, of committed epochs.", rows_late},
    {"rows_dead_lettered_total", "counter",
     "Rows that were committed as dead letters or to a quarantine.", rows_dead_lettered},
    {"bytes_read_total", "counter", "Bytes that sources have read, of committed epochs.",
     bytes_read},
    {"bytes_written_total", "counter", "Bytes that were written, of committed epochs.",
     bytes_written},
    {"epochs_total", "counter", "Epochs committed by this process.", epochs},
    {"epochs_failed_total", "counter", "Epochs that failed and were done again.", epochs_failed},
    {"consecutive_failures", "gauge", "Epochs that have failed since the last good end.",
     failures_in_row},
    {"retries_total", "counter", "Requests and epochs that were tried again.", retries},
    {"epoch", "gauge", "Number of the last committed epoch.", epoch_number},
    {"epoch_seconds_total", "counter", "Time that committed epochs took.", epoch_seconds},
    {"last_commit_timestamp_seconds", "gauge", "When this process last committed an epoch.",
     last_commit},
    {"last_look_timestamp_seconds", "gauge", "When sources were last asked what there is.",
     last_look},
    {"working_seconds", "gauge",
     "For how long the stream has worked without a commit, or a look that found nothing to do.",
     working},
};

static void put_numbers(struct page *page)
{
    for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
        family(page, numbers[n].name, numbers[n].type, numbers[n].help);
        for (int i = 0; i < page->metrics->nruns; i++) {
            const struct mr_metrics_run *run = &page->metrics->runs[i];
            double value = numbers[n].of(run);
            if (value < 0)
                continue;
            begin_sample(page, "", run);
            end_sample(page, value);
        }
    }
}

/* ---- memory ---- */

static void put_memory(struct page *page)
{
    const struct mr_metrics *metrics = page->metrics;
    family(page, "memory_limit_bytes", "gauge", "Budget of the run.");
    for (int i = 0; i < metrics->nruns; i++) {
        begin_sample(page, "", &metrics->runs[i]);
        end_sample(page, (double)metrics->runs[i].session->memory.limit);
    }
    family(page, "memory_used_bytes", "gauge", "What of the budget is taken.");
    for (int i = 0; i < metrics->nruns; i++) {
        begin_sample(page, "", &metrics->runs[i]);
        end_sample(page, (double)mr_memory_used(&metrics->runs[i].session->memory));
    }
}

/* ---- partitions ---- */

static int64_t committed_of(const struct mr_gauge_partition *partition)
{
    return partition->committed;
}
static int64_t end_of(const struct mr_gauge_partition *partition)
{
    return partition->end;
}

/* "clicks/3": the part behind the last slash is the partition of a topic. */
static void put_partition(struct page *page, const struct mr_metrics_run *run,
                          const struct mr_gauge_partition *partition, int64_t value)
{
    const char *slash = strrchr(partition->name, '/');
    begin_sample(page, "", run);
    more_label(page, "step", partition->step, strlen(partition->step));
    if (slash != NULL)
        more_label(page, "topic", partition->name, (size_t)(slash - partition->name));
    const char *number = slash != NULL ? slash + 1 : partition->name;
    more_label(page, "partition", number, strlen(number));
    end_sample(page, (double)value);
}

static void put_partitions(struct page *page)
{
    static const struct {
        const char *name, *help;
        int64_t (*of)(const struct mr_gauge_partition *partition);
    } values[] = {
        {"source_committed_offset", "Offset at which the next epoch begins.", committed_of},
        {"source_end_offset", "Offset at which the partition ended at the last look.", end_of},
        {"source_lag_offsets", "Offsets between what is committed and the end at the last look.",
         mr_gauge_lag},
    };
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        family(page, values[v].name, "gauge", values[v].help);
        for (int i = 0; i < page->metrics->nruns; i++) {
            const struct mr_metrics_run *run = &page->metrics->runs[i];
            const struct mr_gauges *now = &run->totals->now;
            for (int k = 0; k < now->npartitions; k++)
                put_partition(page, run, &now->partitions[k], values[v].of(&now->partitions[k]));
        }
    }
}

/* ---- what steps keep ---- */

static double watermark_of(const struct page *page, const struct mr_kept_figures *figures)
{
    (void)page;
    return (double)figures->watermark / 1e6;
}
static double behind_of(const struct page *page, const struct mr_kept_figures *figures)
{
    return (double)(page->wall - figures->watermark) / 1e6;
}
static double kept_rows_of(const struct page *page, const struct mr_kept_figures *figures)
{
    (void)page;
    return (double)figures->rows;
}
static double kept_bytes_of(const struct page *page, const struct mr_kept_figures *figures)
{
    (void)page;
    return (double)figures->bytes;
}

static void put_kept(struct page *page)
{
    static const struct {
        const char *name, *help;
        bool timed; /* of those that have a watermark; else of those that keep rows */
        double (*of)(const struct page *page, const struct mr_kept_figures *figures);
    } values[] = {
        {"step_watermark_timestamp_seconds", "Event time that the step has reached.", true,
         watermark_of},
        {"step_watermark_lag_seconds", "How far that is behind the clock.", true, behind_of},
        {"step_kept_rows", "Rows, groups or keys that a step keeps for later epochs.", false,
         kept_rows_of},
        {"step_kept_bytes", "Memory that they take.", false, kept_bytes_of},
    };
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        family(page, values[v].name, "gauge", values[v].help);
        for (int i = 0; i < page->metrics->nruns; i++) {
            const struct mr_metrics_run *run = &page->metrics->runs[i];
            const struct mr_gauges *now = &run->totals->now;
            for (int k = 0; k < now->nsteps; k++) {
                const struct mr_kept_figures *figures = &now->steps[k].figures;
                if (values[v].timed ? figures->watermark == MR_WATERMARK_NONE : !figures->keeps)
                    continue;
                begin_sample(page, "", run);
                more_label(page, "step", now->steps[k].step, strlen(now->steps[k].step));
                end_sample(page, values[v].of(page, figures));
            }
        }
    }
}

/* ---- steps ---- */

/* Labels of nodes may be the same (two filters in one step): then they are numbered, because series must differ. */
static void put_step(struct page *page, const struct mr_metrics_run *run, int at, int64_t value)
{
    const struct mr_figure *nodes = run->totals->figures.items;
    char label[256];
    int before = 0;
    for (int i = 0; i < at; i++)
        before += strcmp(nodes[i].label, nodes[at].label) == 0;
    int size = before == 0
                   ? snprintf(label, sizeof label, "%s", nodes[at].label)
                   : snprintf(label, sizeof label, "%.200s #%d", nodes[at].label, before + 1);
    begin_sample(page, "", run);
    more_label(page, "step", label, size < (int)sizeof label ? (size_t)size : sizeof label - 1);
    end_sample(page, (double)value);
}

static void put_rows(struct page *page)
{
    const struct mr_metrics *metrics = page->metrics;
    family(page, "step_rows_in_total", "counter", "Rows that came into a step.");
    for (int i = 0; i < metrics->nruns; i++)
        for (int k = 0; k < metrics->runs[i].totals->figures.count; k++)
            put_step(page, &metrics->runs[i], k,
                     metrics->runs[i].totals->figures.items[k].done.rows_in);
    family(page, "step_rows_out_total", "counter", "Rows that left a step.");
    for (int i = 0; i < metrics->nruns; i++)
        for (int k = 0; k < metrics->runs[i].totals->figures.count; k++)
            put_step(page, &metrics->runs[i], k,
                     metrics->runs[i].totals->figures.items[k].done.rows_out);
}

/* Those that alerts are made of are there from the first epoch on: a counter that appears with its first event has no rate. */
static bool is_shown(const struct mr_figure *node, int counter)
{
    return node->counters[counter] != 0 ||
           (node->kind == MR_PLAN_OP && counter == MR_COUNT_ROWS_LATE);
}

static void put_counters(struct page *page)
{
    const struct mr_metrics *metrics = page->metrics;
    for (int c = 0; c < MR_COUNTERS; c++) {
        char name[80];
        bool any = false;
        snprintf(name, sizeof name, "step_%s%s", mr_counter_name((enum mr_counter)c),
                 mr_figures_is_peak(c) ? "" : "_total");
        for (int i = 0; i < metrics->nruns; i++) {
            const struct mr_figures *figures = &metrics->runs[i].totals->figures;
            for (int k = 0; k < figures->count; k++) {
                if (!is_shown(&figures->items[k], c))
                    continue;
                if (!any)
                    family(page, name, mr_figures_is_peak(c) ? "gauge" : "counter",
                           "Of the step, as in the report.");
                any = true;
                put_step(page, &metrics->runs[i], k, figures->items[k].counters[c]);
            }
        }
    }
}

/* ---- ages ---- */

static void put_ages(struct page *page, const struct mr_metrics_run *run)
{
    static const char *const bounds[] = {"0.1", "0.25", "0.5", "1",  "2.5",
                                         "5",   "10",   "30",  "60", "300"};
    struct mr_latency_figures figures;
    mr_latency_read(run->totals->latency, &figures);
    for (size_t i = 0; i <= sizeof bounds / sizeof bounds[0]; i++) {
        bool last = i == sizeof bounds / sizeof bounds[0];
        const char *bound = last ? "+Inf" : bounds[i];
        double most = last ? 0 : strtod(bound, NULL);
        begin_sample(page, "_bucket", run);
        more_label(page, "le", bound, strlen(bound));
        end_sample(page,
                   last ? (double)figures.count
                        : (double)mr_latency_up_to(run->totals->latency, (int64_t)(most * 1e6)));
    }
    begin_sample(page, "_sum", run);
    end_sample(page, (double)figures.sum / 1e6);
    begin_sample(page, "_count", run);
    end_sample(page, (double)figures.count);
}

/* ---- pages ---- */

static void lock(const struct mr_metrics *metrics)
{
    for (int i = 0; i < metrics->nruns; i++)
        if (metrics->runs[i].totals != NULL)
            pthread_mutex_lock(&metrics->runs[i].totals->lock);
}

static void unlock(const struct mr_metrics *metrics)
{
    for (int i = metrics->nruns - 1; i >= 0; i--)
        if (metrics->runs[i].totals != NULL)
            pthread_mutex_unlock(&metrics->runs[i].totals->lock);
}

static void put_stream(struct page *page)
{
    lock(page->metrics);
    put_numbers(page);
    put_memory(page);
    put_partitions(page);
    put_kept(page);
    put_rows(page);
    put_counters(page);
    family(page, "latency_seconds", "histogram", "Age of records when their epoch was committed.");
    for (int i = 0; i < page->metrics->nruns; i++)
        put_ages(page, &page->metrics->runs[i]);
    unlock(page->metrics);
}

static void put_batch(struct page *page)
{
    struct mr_exec_progress now;
    mr_exec_progress(page->metrics->runs[0].session->engine, &now);
    of_process(page, "rows_read_total", "counter", "Rows read.", (double)now.rows_read);
    of_process(page, "rows_written_total", "counter", "Rows staged or written.",
               (double)now.rows_written);
    of_process(page, "bytes_read_total", "counter", "Bytes read.", (double)now.bytes_read);
    of_process(page, "bytes_written_total", "counter", "Bytes written.", (double)now.bytes_written);
    of_process(page, "splits", "gauge", "Splits of the run.", now.splits);
    of_process(page, "splits_done_total", "counter", "Splits that were read.", now.splits_done);
    put_memory(page);
}

static bool is_stream(const struct mr_metrics *metrics)
{
    return metrics->lanes || (metrics->nruns > 0 && metrics->runs[0].totals != NULL);
}

void mr_metrics_page(const struct mr_metrics *metrics, struct mr_bytes *out)
{
    const struct mr_session *process = metrics->process;
    struct page page = {.metrics = metrics, .out = out, .wall = mr_clock_wall_micros()};
    family(&page, "info", "gauge", "What runs.");
    begin_sample(&page, "", NULL);
    more_label(&page, "run_id", process->run_id, strlen(process->run_id));
    if (metrics->query != NULL)
        more_label(&page, "query", metrics->query, strlen(metrics->query));
    end_sample(&page, 1);
    of_process(&page, "uptime_seconds", "gauge", "Since the run began.",
               (double)(mr_clock_monotonic_micros() - process->start_monotonic) / 1e6);
    of_process(&page, "process_peak_bytes", "gauge", "Largest resident set so far.",
               (double)mr_machine_peak_rss());
    of_process(&page, "process_cpu_seconds_total", "counter", "CPU time, of all threads.",
               (double)mr_clock_process_cpu_nanos() / 1e9);
    if (metrics->lanes)
        of_process(&page, "lanes", "gauge", "Lanes that this process reads.", metrics->nruns);
    if (is_stream(metrics))
        put_stream(&page);
    else if (metrics->nruns > 0)
        put_batch(&page);
}

/* ---- health ---- */

static void put_failure(struct mr_bytes *out, const struct mr_metrics_run *run)
{
    if (run->lane != NULL)
        mr_bytes_printf(out, "lane %s: ", run->lane);
    if (run->totals->failing)
        mr_bytes_printf(out, "epoch %lld has failed %d time%s and is done again: %s",
                        (long long)run->totals->epoch + 1, run->totals->in_row,
                        run->totals->in_row == 1 ? "" : "s", run->totals->reason);
    else
        mr_bytes_printf(out, "epoch %lld has not ended", (long long)run->totals->epoch + 1);
}

/*
 * Since when nothing has moved; monotonic, INT64_MAX = it waits for work. Rows that flow are progress, and so are pieces of what is kept and of
 * a commit: each of these may be long.
 */
static int64_t still_since(struct mr_metrics_run *run, int64_t now)
{
    struct mr_exec_progress progress;
    if (run->totals->working == 0)
        return INT64_MAX;
    mr_exec_progress(run->session->engine, &progress);
    int64_t work = progress.rows_read + progress.rows_written + progress.bytes_read +
                   progress.bytes_written + progress.splits_done +
                   atomic_load(&run->session->pieces);
    /* What an epoch that is repeated reads again is none. */
    if (work != run->work && !run->totals->failing)
        run->moved = now;
    run->work = work;
    return run->moved > run->totals->working ? run->moved : run->totals->working;
}

int mr_metrics_health(struct mr_metrics *metrics, int64_t within, struct mr_bytes *out)
{
    int64_t now = mr_clock_monotonic_micros();
    int code = 200;
    lock(metrics);
    for (int i = 0; i < metrics->nruns; i++) {
        struct mr_metrics_run *run = &metrics->runs[i];
        int64_t since = run->totals != NULL ? still_since(run, now) : INT64_MAX;
        if (since == INT64_MAX || now - since <= within)
            continue;
        code = 503;
        put_failure(out, run);
        mr_bytes_printf(out, "; no progress for %lld s\n", (long long)((now - since) / 1000000));
    }
    unlock(metrics);
    if (code == 200)
        mr_bytes_text(out, "ok\n");
    return code;
}

int mr_metrics_ready(const struct mr_metrics *metrics, struct mr_bytes *out)
{
    int code = 200;
    lock(metrics);
    for (int i = 0; i < metrics->nruns; i++) {
        const struct mr_metrics_run *run = &metrics->runs[i];
        if (run->totals == NULL || (run->totals->ready && !run->totals->failing))
            continue;
        code = 503;
        if (run->totals->failing)
            put_failure(out, run);
        else
            mr_bytes_printf(out, "%s%sit begins", run->lane != NULL ? run->lane : "",
                            run->lane != NULL ? ": " : "");
        mr_bytes_char(out, '\n');
    }
    unlock(metrics);
    if (code == 200)
        mr_bytes_text(out, "ok\n");
    return code;
}
