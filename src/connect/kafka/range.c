/*
 * range.c - what a run reads: of each partition [from, end), and what is to be said when records are gone.
 *
 * An incremental run begins where the last one ended, and a partition that it did not know at its first offset. An offset in front of what
 * the broker keeps has expired, one behind its end belongs to a topic that was cut or made again: rows would be missing, so the run stops
 * unless failOnDataLoss is false, and then begins at the first offset that is kept.
 */
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

enum mr_status kafka_find_ranges(struct kafka_source *source, struct mr_runtime *runtime,
                                 struct mr_error *err)
{
    struct kafka_partitions *partitions = &source->partitions;
    MR_TRY(kafka_find_partitions(source->client, runtime, &source->topics, source->arena,
                                 partitions, err));
    MR_TRY(check_cluster(source, err));
    MR_TRY(kafka_ask_watermarks(source->client, runtime, partitions, err));
    int64_t *offsets = mr_calloc((size_t)partitions->count + 1, sizeof *offsets);
    if (offsets == NULL)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    if (!source->has_since)
        status = kafka_resolve(source->client, runtime, partitions, &source->start, offsets, err);
    if (status == MR_OK)
        status = begin(source, runtime, offsets, err);
    if (status == MR_OK)
        status = kafka_resolve(source->client, runtime, partitions, &source->end, offsets, err);
    if (status == MR_OK)
        status = finish(source, offsets, err);
    mr_free(offsets);
    return status;
}

int64_t kafka_ranges_rows(const struct kafka_partitions *partitions)
{
    int64_t rows = 0;
    for (int i = 0; i < partitions->count; i++)
        rows += partitions->items[i].end - partitions->items[i].from;
    return rows;
}
