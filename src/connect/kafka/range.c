/*
 * range.c - what a run reads: of each partition [from, end), and what is to be said when records are gone.
 *
 * An incremental run begins where the last one ended, and a partition that it did not know at its first offset. An offset in front of what
 * the broker keeps has expired, one behind its end belongs to a topic that was cut or made again: rows would be missing, so the run stops
 * unless failOnDataLoss is false, and then begins at the first offset that is kept.
 */
#include "base/decimal.h"
#include "base/time.h"
#include "connect/kafka/source.h"

static enum mr_status lost(const struct kafka_source *source, struct mr_runtime *runtime,
                           struct kafka_partition *partition, const char *whose,
                           struct mr_error *err)
{
    struct mr_error message;
    mr_error_set(&message, MR_SOURCE, MR_CLASS_CONFIG,
                 "%s[%d]: %s begins at offset %lld, but the broker keeps %lld to %lld: %s",
                 partition->topic, (int)partition->number, whose, (long long)partition->from,
                 (long long)partition->low, (long long)partition->high,
                 partition->from < partition->low
                     ? "records have expired or were deleted before they were read"
                     : "the topic was cut, or deleted and made again");
    if (source->fail_on_loss) {
        if (err != NULL)
            *err = message;
        mr_error_hint(err, "with failOnDataLoss false reading goes on at the first offset that is "
                           "kept; a new beginning is --fresh or `millrace watermark set`");
        return MR_SOURCE;
    }
    mr_event(runtime, MR_LOG_WARN, "%s; reading goes on at offset %lld", message.message,
             (long long)partition->low);
    partition->from = partition->low;
    return MR_OK;
}

/* Partitions that the last run knew and that are no more. */
static enum mr_status check_gone(const struct kafka_source *source, struct mr_runtime *runtime,
                                 struct mr_error *err)
{
    const struct kafka_partitions *now = &source->partitions;
    for (int i = 0; i < source->since.count; i++) {
        const struct kafka_mark *mark = &source->since.items[i];
        bool found = false, wanted = source->topics.pattern != NULL;
        for (int k = 0; k < now->count && !found; k++)
            found = now->items[k].number == mark->partition &&
                    strcmp(now->items[k].topic, mark->topic) == 0;
        for (int k = 0; k < source->topics.count && !wanted; k++)
            wanted = strcmp(source->topics.names[k], mark->topic) == 0;
        if (found || !wanted)
            continue;
        if (source->fail_on_loss) {
            mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                         "%s[%d]: the last run read it up to offset %lld; now there is no such "
                         "partition",
                         mark->topic, (int)mark->partition, (long long)mark->offset);
            mr_error_hint(err, "with failOnDataLoss false it is left out");
            return MR_SOURCE;
        }
        mr_event(runtime, MR_LOG_WARN, "%s[%d] is no more; it is left out", mark->topic,
                 (int)mark->partition);
    }
    return MR_OK;
}

static enum mr_status begin(struct kafka_source *source, struct mr_runtime *runtime,
                            const int64_t *starts, struct mr_error *err)
{
    for (int i = 0; i < source->partitions.count; i++) {
        struct kafka_partition *partition = &source->partitions.items[i];
        const struct kafka_mark *mark =
            source->has_since
                ? kafka_marks_find(&source->since, partition->topic, partition->number)
                : NULL;
        partition->from = mark != NULL        ? mark->offset
                          : source->has_since ? partition->low
                                              : starts[i];
        if (mark != NULL && mark->offset == KAFKA_EARLIEST)
            partition->from = partition->low;
        if (mark != NULL && mark->offset == KAFKA_LATEST)
            partition->from = partition->high;
        if (partition->from < partition->low || partition->from > partition->high)
            MR_TRY(lost(source, runtime, partition,
                        source->has_since ? "what is new" : "startingOffsets", err));
    }
    return source->has_since ? check_gone(source, runtime, err) : MR_OK;
}

static enum mr_status finish(struct kafka_source *source, const int64_t *ends, struct mr_error *err)
{
    for (int i = 0; i < source->partitions.count; i++) {
        struct kafka_partition *partition = &source->partitions.items[i];
        if (ends[i] > partition->high) {
            mr_options_error(source->options, "endingOffsets", err,
                             "offset %lld of %s[%d] is behind its end, %lld", (long long)ends[i],
                             partition->topic, (int)partition->number, (long long)partition->high);
            mr_error_hint(err, "records of open transactions do not count, unless "
                               "kafka.isolation.level is read_uncommitted");
            return MR_CONFIG;
        }
        partition->end = ends[i] > partition->from ? ends[i] : partition->from;
    }
    return MR_OK;
}

static enum mr_status check_cluster(const struct kafka_source *source, struct mr_error *err)
{
    if (!source->has_since || source->since.cluster[0] == '\0' ||
        strcmp(source->since.cluster, source->partitions.cluster) == 0)
        return MR_OK;
    mr_error_set(
        err, MR_SOURCE, MR_CLASS_CONFIG,
        "the last run read from the cluster %s; this is %s, and offsets of one mean nothing "
        "in the other",
        source->since.cluster, source->partitions.cluster);
    mr_error_hint(err,
                  "run with --fresh, or say with `millrace watermark set` where reading begins");
    return MR_SOURCE;
}

/* --- streaming --- */

/* Does the last epoch say where all partitions begin? */
static bool has_all_marks(const struct kafka_source *source)
{
    for (int i = 0; i < source->partitions.count && source->has_since; i++) {
        const struct kafka_partition *partition = &source->partitions.items[i];
        const struct kafka_mark *mark =
            kafka_marks_find(&source->since, partition->topic, partition->number);
        if (mark == NULL || mark->offset < 0)
            return false;
    }
    return source->has_since;
}

/*
 * Partitions, and their offsets. An epoch that follows another needs only the ends: that a record has expired in front of it is said by the
 * answer to its fetch.
 */
static enum mr_status look(struct kafka_source *source, bool now, struct mr_runtime *runtime,
                           struct mr_error *err)
{
    struct kafka_partitions *partitions = &source->partitions;
    if (source->hub == NULL)
        MR_TRY(kafka_find_partitions(source->client, runtime, &source->topics, source->arena,
                                     partitions, err));
    else
        MR_TRY(kafka_hub_partitions(source->hub, &source->topics, now, runtime, source->arena,
                                    partitions, err));
    MR_TRY(check_cluster(source, err));
    MR_TRY(kafka_keep_lane(source, runtime, err));
    if (source->hub == NULL || !has_all_marks(source))
        return kafka_ask_watermarks(source->client, runtime, partitions, err);
    MR_TRY(kafka_ask_ends(source->client, runtime, partitions, err));
    for (int i = 0; i < partitions->count; i++) {
        const struct kafka_partition *partition = &partitions->items[i];
        if (kafka_marks_find(&source->since, partition->topic, partition->number)->offset >
            partition->high)
            return kafka_ask_watermarks(source->client, runtime, partitions, err);
    }
    return MR_OK;
}

/* What the hub knows of the cluster may be old: an error may come from that. */
static enum mr_status look_twice(struct kafka_source *source, struct mr_runtime *runtime,
                                 struct mr_error *err)
{
    struct mr_error cause = {0};
    enum mr_status status = look(source, false, runtime, &cause);
    if (status == MR_SOURCE && cause.cls == MR_CLASS_CONFIG && source->hub != NULL)
        return look(source, true, runtime, err);
    if (status != MR_OK && err != NULL)
        *err = cause;
    return status;
}

void kafka_share_out(const int64_t *backlogs, int count, int64_t most, int64_t *shares)
{
    int64_t total = 0, given = 0;
    for (int i = 0; i < count; i++)
        total += backlogs[i];
    for (int i = 0; i < count; i++) {
        bool all = total <= most;
        shares[i] = all ? backlogs[i] : (int64_t)((mr_int128)most * backlogs[i] / total);
        shares[i] += shares[i] == 0 && backlogs[i] > 0;
        given += shares[i];
    }
    for (int i = 0; i < count && given < most; i++)
        if (shares[i] < backlogs[i]) { /* what rounding has left: less than one each */
            shares[i]++;
            given++;
        }
}

/* Where the stream is to end: a partition that is not named came later. */
static void stop_at(const struct kafka_marks *until, struct kafka_partitions *partitions)
{
    for (int i = 0; i < partitions->count; i++) {
        struct kafka_partition *partition = &partitions->items[i];
        const struct kafka_mark *mark =
            kafka_marks_find(until, partition->topic, partition->number);
        int64_t end = mark != NULL ? mark->offset : 0;
        if (partition->end > end)
            partition->end = end > partition->from ? end : partition->from;
    }
}

/* maxRatePerPartition and maxOffsetsPerTrigger. */
static enum mr_status bound(struct kafka_source *source, struct mr_error *err)
{
    struct kafka_partitions *partitions = &source->partitions;
    int64_t now = mr_clock_monotonic_micros();
    int n = partitions->count;
    for (int i = 0; i < n && source->rate > 0; i++) {
        struct kafka_partition *partition = &partitions->items[i];
        int64_t most = kafka_hub_allowance(source->hub, partition, source->rate, now);
        if (partition->end - partition->from > most)
            partition->end = partition->from + most;
    }
    if (source->most == 0)
        return MR_OK;
    int64_t *backlogs = mr_calloc(2 * (size_t)n + 1, sizeof *backlogs);
    if (backlogs == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < n; i++)
        backlogs[i] = partitions->items[i].end - partitions->items[i].from;
    kafka_share_out(backlogs, n, source->most, backlogs + n);
    for (int i = 0; i < n; i++)
        partitions->items[i].end = partitions->items[i].from + backlogs[n + i];
    mr_free(backlogs);
    return MR_OK;
}

enum mr_status kafka_find_ranges(struct kafka_source *source, struct mr_runtime *runtime,
                                 struct mr_error *err)
{
    struct kafka_partitions *partitions = &source->partitions;
    MR_TRY(look_twice(source, runtime, err));
    int64_t *offsets = mr_calloc((size_t)partitions->count + 1, sizeof *offsets);
    if (offsets == NULL)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    if (!source->has_since)
        status = kafka_resolve(source->client, runtime, partitions, &source->start, offsets, err);
    if (status == MR_OK && !source->has_since && source->hub != NULL)
        status = kafka_hub_begin(source->hub, partitions, offsets, err);
    if (status == MR_OK)
        status = begin(source, runtime, offsets, err);
    if (status == MR_OK)
        status = kafka_resolve(source->client, runtime, partitions, &source->end, offsets, err);
    if (status == MR_OK)
        status = finish(source, offsets, err);
    if (status == MR_OK && source->has_until)
        stop_at(&source->until, partitions);
    for (int i = 0; i < partitions->count; i++)
        partitions->items[i].goal = partitions->items[i].end;
    mr_free(offsets);
    return status == MR_OK && source->hub != NULL ? bound(source, err) : status;
}

int64_t kafka_ranges_rows(const struct kafka_partitions *partitions)
{
    int64_t rows = 0;
    for (int i = 0; i < partitions->count; i++)
        rows += partitions->items[i].end - partitions->items[i].from;
    return rows;
}
