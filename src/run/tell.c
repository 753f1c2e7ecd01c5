/*
 * tell.c - the log of a stream, and its row among the runs.
 *
 * The row is written with a line of the log, and with every failure: between them it may be old, so it says of which time it speaks. A
 * thread that writes it all the time was refused: it would need a connection of its own to a state on a server, and /healthz is there for
 * those who ask often.
 */
#include "run/tell.h"

#include "base/time.h"
#include "ext/event_clock.h"

#include <string.h>

#define TELL_EVERY 10000000

static void put_time(struct mr_bytes *out, int64_t micros)
{
    char text[MR_TIME_TEXT_MAX];
    int size = mr_timestamp_format(micros / 1000000 * 1000000, ' ', text);
    mr_bytes_printf(out, "%.*s UTC", size, text);
}

/* Caller holds the lock of the sums, here and below. */
static void put_lag(struct mr_bytes *out, const struct mr_gauges *now)
{
    const struct mr_gauge_partition *worst = NULL;
    int64_t sum = 0;
    for (int i = 0; i < now->npartitions; i++) {
        int64_t lag = mr_gauge_lag(&now->partitions[i]);
        sum += lag;
        if (worst == NULL || lag > mr_gauge_lag(worst))
            worst = &now->partitions[i];
    }
    if (worst == NULL)
        return;
    mr_bytes_printf(out, "; %lld behind", (long long)sum);
    if (sum > 0 && now->npartitions > 1)
        mr_bytes_printf(out, " (%s: %lld)", worst->name, (long long)mr_gauge_lag(worst));
}

/* Of what steps keep, and of the event time that is furthest back. */
static void put_kept(struct mr_bytes *out, const struct mr_gauges *now)
{
    int64_t least = MR_WATERMARK_NONE, rows = 0, bytes = 0;
    bool keeps = false;
    char size[32];
    for (int i = 0; i < now->nsteps; i++) {
        const struct mr_kept_figures *figures = &now->steps[i].figures;
        keeps = keeps || figures->keeps;
        rows += figures->rows;
        bytes += figures->bytes;
        if (figures->watermark != MR_WATERMARK_NONE &&
            (least == MR_WATERMARK_NONE || figures->watermark < least))
            least = figures->watermark;
    }
    if (least != MR_WATERMARK_NONE) {
        mr_bytes_text(out, "; watermark ");
        put_time(out, least);
    }
    if (!keeps)
        return;
    mr_size_format(bytes, size, sizeof size);
    mr_bytes_printf(out, "; keeps %lld row%s, %s", (long long)rows, rows == 1 ? "" : "s", size);
}

/* How old records were when they were committed, since the last line. */
static void put_ages(struct mr_bytes *out, struct mr_totals *totals)
{
    struct mr_latency_figures ages;
    mr_totals_recent(totals, &ages);
    if (ages.count > 0)
        mr_bytes_printf(out, "; records %.2f s old (95 %%: %.2f s)", (double)ages.p50 / 1e6,
                        (double)ages.p95 / 1e6);
}

/* Sums are of the whole stream, the rate and the ages are of the time since the last line. */
static void put_line(struct mr_bytes *out, struct mr_stream *stream, int64_t now)
{
    const struct mr_session *session = stream->session;
    struct mr_totals *totals = &stream->totals;
    int64_t since = stream->told_at != 0 ? stream->told_at : session->start_monotonic;
    long long epochs = (long long)(totals->epochs - stream->told_epochs);
    double seconds = (double)(now - since) / 1e6;
    char used[32], limit[32];
    mr_bytes_printf(out,
                    "epoch %lld: %lld rows read in all, %lld written; %.0f rows/s, %lld epoch%s in "
                    "%.1f s",
                    (long long)totals->epoch, (long long)totals->rows.read,
                    (long long)totals->rows.written,
                    seconds > 0 ? (double)(totals->rows.read - stream->told_rows) / seconds : 0,
                    epochs, epochs == 1 ? "" : "s", seconds);
    put_ages(out, totals);
    put_lag(out, &totals->now);
    put_kept(out, &totals->now);
    if (totals->rows.late > 0)
        mr_bytes_printf(out, "; %lld late", (long long)totals->rows.late);
    mr_size_format(mr_memory_used(&session->memory), used, sizeof used);
    mr_size_format(session->memory.limit, limit, sizeof limit);
    mr_bytes_printf(out, "; %s of %s budget", used, limit);
}

/* For people: that it could not be written is no reason to end. */
static void write_row(struct mr_stream *stream, const struct mr_bytes *message)
{
    struct mr_session *session = stream->session;
    struct mr_run_row row = {.run_id = session->run_id,
                             .status = "running",
                             .exit_code = -1,
                             .rows_read = stream->totals.rows.read,
                             .rows_written = stream->totals.rows.written,
                             .message = message->data != NULL ? message->data : ""};
    if (mr_bytes_status(message, NULL) == MR_OK)
        (void)mr_state_run_end(stream->start->state, &row, NULL);
}

static void put_committed(struct mr_bytes *out, const struct mr_totals *totals)
{
    mr_bytes_printf(out, "epoch %lld", (long long)totals->epoch);
    if (totals->committed != 0) {
        mr_bytes_text(out, ", committed ");
        put_time(out, totals->committed);
    }
}

void mr_tell_epoch(struct mr_stream *stream, bool again)
{
    struct mr_session *session = stream->session;
    struct mr_totals *totals = &stream->totals;
    struct mr_bytes line, message;
    int64_t now = mr_clock_monotonic_micros();
    if (!stream->idle)
        mr_logger_printf(&session->logger, MR_LOG_DEBUG, "run", "epoch %lld is committed: %.0f ms",
                         (long long)totals->epoch, (double)(now - stream->begun) / 1e3);
    bool news = totals->epochs != stream->told_epochs;
    if (!again && (!news || (stream->told_at != 0 && now - stream->told_at < TELL_EVERY)))
        return;
    mr_bytes_init(&line, 4096);
    mr_bytes_init(&message, 4096);
    pthread_mutex_lock(&totals->lock);
    put_line(&line, stream, now);
    put_committed(&message, totals);
    put_lag(&message, &totals->now);
    pthread_mutex_unlock(&totals->lock);
    if (mr_bytes_status(&line, NULL) == MR_OK)
        mr_logger_write(&session->logger, MR_LOG_INFO, "run", NULL, line.data);
    write_row(stream, &message);
    mr_bytes_reset(&line);
    mr_bytes_reset(&message);
    stream->told_at = now;
    stream->told_rows = totals->rows.read;
    stream->told_epochs = totals->epochs;
}

void mr_tell_failure(struct mr_stream *stream, const struct mr_error *failure, int64_t pause)
{
    struct mr_session *session = stream->session;
    struct mr_totals *totals = &stream->totals;
    struct mr_bytes message;
    long long epoch = (long long)stream->start->last.epoch + 1;
    mr_logger_printf(&session->logger, MR_LOG_WARN, "run",
                     "epoch %lld failed and is done again in %.1f s: %s%s%s%s", epoch,
                     (double)pause / 1e6, failure->message, failure->where[0] ? " [" : "",
                     failure->where, failure->where[0] ? "]" : "");
    mr_bytes_init(&message, 4096);
    pthread_mutex_lock(&totals->lock);
    mr_bytes_printf(&message, "epoch %lld has failed %d time%s since ", epoch, totals->in_row,
                    totals->in_row == 1 ? "" : "s");
    put_time(&message, totals->failing_since);
    mr_bytes_printf(&message, ": %s; before that ", failure->message);
    put_committed(&message, totals);
    pthread_mutex_unlock(&totals->lock);
    write_row(stream, &message);
    mr_bytes_reset(&message);
}
