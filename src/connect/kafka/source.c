/*
 * source.c - fromKafka: options, bind, offer, and the table of callbacks.
 *
 * Bind asks for partitions and offsets, never for records, so that a plan costs four round trips whatever the topic holds. The parts: config.c
 * settings, client.c a handle of librdkafka, offsets.c and positions.c places in topics, range.c what is read, splits.c its pieces, pool.c
 * and read.c records to batches, decode.c and registry.c values to rows, schema.c columns, feed.c what a stream has from epoch to epoch,
 * group.c and lane.c a topic that is shared.
 */
#include "connect/kafka/group.h"

#include "base/thread.h"
#include "ext/letter.h"

#include <stdio.h>

#define QUEUE_LEAST ((int64_t)1 << 20)
#define QUEUE_MOST  ((int64_t)8 << 20)
#define READERS     8
#define HUB_MOST    ((int64_t)64 << 20) /* that all feeds together may hold */

static const char *const formats[] = {"raw", "json", "avro", "csv", NULL};
static const char *const on_errors[] = {"fail", "drop", "deadLetter", NULL};

static const struct mr_option letter_options[] = {
    MR_LETTER_FILE_ROWS,
    {.name = "topic",
     .type = MR_OPTION_STRING,
     .doc =
         "A topic of the same cluster that they are written into, in the epoch's transaction: as "
         "they were, with the headers millrace.topic, .partition, .offset, .reason and .column."},
    MR_OPTION_END,
};

const struct mr_option kafka_read_options[] = {
    {.name = "topic", .type = MR_OPTION_STRING, .doc = "The topic to read."},
    {.name = "topics", .type = MR_OPTION_STRINGS, .doc = "Several topics."},
    {.name = "topicPattern",
     .type = MR_OPTION_STRING,
     .doc = "All topics whose whole name matches this regular expression, but Kafka's own."},
    {.name = "startingOffsets",
     .type = MR_OPTION_ANY,
     .doc = "Where reading begins: earliest (the default), latest (in mode streaming the default), "
            "{\"topic\": {\"0\": 17, \"1\": -2}} (-2 "
            "earliest, "
            "-1 latest), or {\"timestamp\": \"2024-05-01 12:00:00\"} (in sql.timeZone; or "
            "milliseconds). With `incremental`, and in streaming, only in the first run."},
    {.name = "endingOffsets",
     .type = MR_OPTION_ANY,
     .fallback = "latest",
     .doc = "Where reading ends, in the same forms; the offset itself is not read. Batch only."},
    {.name = "incremental",
     .type = MR_OPTION_BOOL,
     .doc = "Every run begins where the last one ended; in streaming always so."},
    {.name = "failOnDataLoss",
     .type = MR_OPTION_BOOL,
     .fallback = "true",
     .doc = "Records that expired or were deleted before they were read stop the run; else reading "
            "goes on behind them, with a warning."},
    {.name = "minPartitions",
     .type = MR_OPTION_INT,
     .minimum = 1,
     .maximum = 100000,
     .unit = "splits",
     .doc =
         "At least about so many splits: partitions are cut into ranges of offsets. Default: one "
         "a partition; in batch more where there are fewer than readers."},
    {.name = "maxOffsetsPerTrigger",
     .type = MR_OPTION_INT,
     .minimum = 1,
     .maximum = INT64_C(1000000000000),
     .unit = "records",
     .doc = "Streaming: at most so many records in one epoch, shared out over the partitions in "
            "proportion to what "
            "waits in them, at least one each."},
    {.name = "maxRatePerPartition",
     .type = MR_OPTION_INT,
     .minimum = 1,
     .maximum = INT64_C(1000000000),
     .unit = "records per second",
     .doc = "Streaming: at most so many records of one partition per second; a pause saves up ten "
            "seconds of "
            "them, the first epoch has one second."},
    {.name = "group",
     .type = MR_OPTION_STRING,
     .doc = "Streaming: processes with the same group share the topics, each partition read by one "
            "of them at a time. They need one `state`."},
    {.name = "keyColumns",
     .type = MR_OPTION_STRINGS,
     .doc =
         "With `group`: columns by which the producers choose the partition, so that steps which "
         "keep something by these may run."},
    {.name = "format",
     .type = MR_OPTION_ENUM,
     .choices = formats,
     .fallback = "raw",
     .doc = "What the values are. raw: columns key, value, topic, partition, offset, timestamp, "
            "timestampType, headers. json: an object a record, into the columns of `schema`. avro: "
            "with "
            "`schemaRegistry` behind a 0 and the number of its schema, else written by `schema`. "
            "csv: a "
            "line a record, the values in the order of `schema`."},
    {.name = "schema",
     .type = MR_OPTION_ANY,
     .doc =
         "The columns, as \"id BIGINT, at TIMESTAMP\", for avro also a schema as JSON, or the path "
         "of "
         "its file (.avsc). Needed unless format is raw; with `schemaRegistry` the default is the "
         "latest schema of <topic>-value."},
    MR_KAFKA_REGISTRY_ROWS,
    MR_CSV_DIALECT_ROWS,
    {.name = "onError",
     .type = MR_OPTION_ENUM,
     .choices = on_errors,
     .fallback = "fail",
     .doc = "A record that cannot be decoded fails the run, is dropped and counted, or goes to "
            "`deadLetter`."},
    {.name = "deadLetter",
     .type = MR_OPTION_OBJECT,
     .fields = letter_options,
     .doc = "Where bad records go: into files, as rows of topic, partition, offset, timestamp, "
            "column, reason, key, value; or into a topic."},
    MR_KAFKA_CONNECTION_ROWS,
    MR_OPTION_END,
};

/* --- options --- */

static enum mr_status read_topics(struct kafka_source *source, struct mr_error *err)
{
    static const char *const keys[] = {"topic", "topics", "topicPattern"};
    const struct mr_options *options = source->options;
    struct kafka_topics *topics = &source->topics;
    const char *topic = mr_options_text(options, "topic"), *key = NULL;
    const struct mr_option_value *list = mr_options_get(options, "topics");
    topics->options = options;
    topics->pattern = mr_options_text(options, "topicPattern");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (mr_options_has(options, keys[i]) && key != NULL)
            return mr_options_error(options, keys[i], err,
                                    "`%s` is given as well: one of topic, topics and topicPattern "
                                    "is needed, not several",
                                    key);
        key = mr_options_has(options, keys[i]) ? keys[i] : key;
    }
    if (key == NULL)
        return mr_error_config(err, "one of topic, topics and topicPattern is needed");
    if (topics->pattern != NULL)
        return kafka_topics_check(topics, err);
    topics->count = topic != NULL ? 1 : list->u.strings.count;
    const char **names = mr_arena_calloc(source->arena, (size_t)topics->count + 1, sizeof *names);
    if (names == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < topics->count; i++) {
        names[i] = topic != NULL ? topic : list->u.strings.items[i];
        if (!kafka_is_topic(mr_slice_of(names[i])))
            return mr_options_error(options, key, err, "\"%.80s\": %s", names[i], KAFKA_TOPIC_RULE);
        for (int k = 0; k < i; k++)
            if (strcmp(names[k], names[i]) == 0)
                return mr_options_error(options, "topics", err, "%s is listed twice", names[i]);
    }
    topics->names = names;
    return topics->count > 0 ? MR_OK : mr_options_error(options, "topics", err, "no topic");
}

static enum mr_status read_schema(struct kafka_source *source, const char *directory,
                                  struct mr_error *err)
{
    MR_TRY(kafka_shape_read(&source->shape, source->options, directory, source->arena, err));
    source->all = source->shape.columns;
    if (source->shape.format == KAFKA_RAW)
        source->all = kafka_raw_schema(source->arena);
    return source->all != NULL || source->shape.registry != NULL ? MR_OK : mr_error_nomem(err);
}

static enum mr_status read_on_error(struct kafka_source *source, struct mr_error *err)
{
    const struct mr_options *options = source->options;
    const char *topic;
    source->on_error = (enum kafka_on_error)mr_options_integer(options, "onError", KAFKA_FAIL);
    bool wanted = source->on_error == KAFKA_DEAD_LETTER;
    MR_TRY(mr_letter_read(options, "onError", wanted, &topic, err));
    if (!wanted)
        return MR_OK;
    source->to_topic = topic != NULL;
    source->side = topic != NULL ? kafka_letter_record_schema(source->arena)
                                 : kafka_side_schema(source->arena);
    return source->side != NULL ? MR_OK : mr_error_nomem(err);
}

static enum mr_status refuse_since(const char *why, struct mr_error *err)
{
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG, "the watermark of fromKafka: %s", why);
    mr_error_hint(err,
                  "set another with `millrace watermark set` ({\"topic\": {\"0\": offset}}), or "
                  "run with --fresh");
    return MR_SOURCE;
}

/*
 * A partition that is left out would count as one that was added, and be read from its first offset: rows a second time. Refused: to keep its
 * offset. The text would say one thing and mean another, and next to a new offset a forgotten partition looks the same.
 */
static enum mr_status check_all_named(const struct kafka_source *source, const char *before,
                                      struct mr_error *err)
{
    struct kafka_marks old;
    char why[128];
    struct mr_error cause = {0};
    if (before == NULL || before[0] == '\0')
        return MR_OK;
    if (!kafka_marks_parse(mr_slice_of(before), source->arena, &old, why, sizeof why, &cause))
        return cause.status == MR_NOMEM ? mr_error_nomem(err)
                                        : MR_OK; /* the old one is of no use */
    for (int i = 0; i < old.count; i++) {
        const struct kafka_mark *mark = &old.items[i];
        bool wanted = source->topics.pattern != NULL;
        for (int k = 0; k < source->topics.count && !wanted; k++)
            wanted = strcmp(source->topics.names[k], mark->topic) == 0;
        if (!wanted || kafka_marks_find(&source->since, mark->topic, mark->partition) != NULL)
            continue;
        mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                     "the watermark leaves out %s[%d], which is at offset %lld: it would be read "
                     "from its first offset again",
                     mark->topic, (int)mark->partition, (long long)mark->offset);
        mr_error_hint(err, "name every partition (-2: its first offset); now it is %s", before);
        return MR_SOURCE;
    }
    return MR_OK;
}

/* Where the last run ended, or a person has put it. */
static enum mr_status read_since(struct kafka_source *source, const struct mr_source_bind *bind,
                                 struct mr_error *err)
{
    char why[128] = "";
    struct mr_error cause = {0};
    if (bind->until.size > 0) {
        source->has_until = kafka_marks_read(bind->until, source->arena, &source->until, &cause);
        if (!source->has_until)
            return cause.status == MR_NOMEM ? mr_error_nomem(err)
                                            : mr_error_internal(err, "a goal of an unknown form");
    }
    source->incremental = source->streaming || bind->runtime->preview ||
                          mr_options_boolean(source->options, "incremental", false);
    if (!source->incremental || bind->runtime->preview)
        return MR_OK;
    if (bind->since.size > 0) {
        source->has_since = kafka_marks_read(bind->since, source->arena, &source->since, &cause);
        snprintf(why, sizeof why, "it is damaged, or of another version");
    } else if (bind->since_text != NULL && bind->since_text[0] != '\0') {
        source->has_since = kafka_marks_parse(mr_slice_of(bind->since_text), source->arena,
                                              &source->since, why, sizeof why, &cause);
    } else {
        return MR_OK;
    }
    if (cause.status == MR_NOMEM)
        return mr_error_nomem(err);
    if (!source->has_since)
        return refuse_since(why, err);
    return check_all_named(source, bind->before_text, err);
}

/* What only one of the modes knows. */
static enum mr_status read_mode(struct kafka_source *source, struct mr_error *err)
{
    static const char *const streaming[] = {"maxOffsetsPerTrigger", "maxRatePerPartition", NULL};
    const struct mr_options *options = source->options;
    for (int i = 0; streaming[i] != NULL && !source->streaming; i++)
        if (mr_options_has(options, streaming[i]))
            return mr_options_error(
                options, streaming[i], err,
                "only in mode streaming; in batch a run reads what is there, up "
                "to endingOffsets");
    if (source->streaming && mr_options_get(options, "endingOffsets")->by_user)
        return mr_options_error(
            options, "endingOffsets", err,
            "a stream has no end; mode batch reads up to offsets, and the trigger "
            "availableNow what is there");
    const struct mr_option_value *incremental = mr_options_get(options, "incremental");
    if (source->streaming && incremental->by_user && !incremental->u.boolean)
        return mr_options_error(options, "incremental", err,
                                "in mode streaming a topic is always read from where the last "
                                "epoch ended");
    source->most = mr_options_integer(options, "maxOffsetsPerTrigger", 0);
    source->rate = mr_options_integer(options, "maxRatePerPartition", 0);
    return MR_OK;
}

static enum mr_status read_options(struct kafka_source *source, const struct mr_source_bind *bind,
                                   struct mr_error *err)
{
    const char *zone = bind->runtime->time_zone;
    MR_TRY(read_topics(source, err));
    MR_TRY(read_schema(source, bind->runtime->pipeline_dir, err));
    MR_TRY(read_on_error(source, err));
    if (!bind->runtime->preview) /* of a stream, read as a batch */
        MR_TRY(read_mode(source, err));
    if (zone != NULL && strcmp(zone, "UTC") != 0)
        MR_TRY(mr_tz_new(zone, &source->tz, err));
    if (source->streaming)
        source->start.kind = KAFKA_AT_LATEST;
    if (mr_options_has(source->options, "startingOffsets"))
        MR_TRY(kafka_point_read(source->options, "startingOffsets", source->tz, source->arena,
                                &source->start, err));
    MR_TRY(kafka_point_read(source->options, "endingOffsets", source->tz, source->arena,
                            &source->end, err));
    MR_TRY(kafka_point_check(&source->start, &source->topics, err));
    MR_TRY(kafka_point_check(&source->end, &source->topics, err));
    if (bind->runtime->preview && source->start.kind == KAFKA_AT_LATEST)
        source->start.kind = KAFKA_AT_EARLIEST; /* there is nothing to show behind the end */
    source->fail_on_loss = mr_options_boolean(source->options, "failOnDataLoss", true);
    MR_TRY(read_since(source, bind, err));
    MR_TRY(kafka_settings_read(&source->settings, source->options, KAFKA_CONSUMER, bind->runtime,
                               source->arena, err));
    if (bind->runtime->lane != NULL)
        source->member = bind->runtime->lane->member;
    return kafka_lane_options(source, bind->runtime, err);
}

/* --- bind --- */

static enum mr_status choose(struct kafka_source *source, const bool *wanted, struct mr_error *err)
{
    const struct mr_schema *all = source->all;
    if (all == NULL)
        return MR_OK; /* offline */
    struct mr_field *fields =
        mr_arena_calloc(source->arena, (size_t)all->nfields + 1, sizeof *fields);
    source->columns =
        mr_arena_calloc(source->arena, (size_t)all->nfields + 1, sizeof *source->columns);
    if (fields == NULL || source->columns == NULL)
        return mr_error_nomem(err);
    int n = 0;
    for (int i = 0; i < all->nfields; i++) {
        if (wanted != NULL && !wanted[i])
            continue;
        fields[n] = all->fields[i];
        source->columns[n++] = i;
    }
    source->schema = mr_schema_new(source->arena, fields, n);
    return source->schema != NULL ? MR_OK : mr_error_nomem(err);
}

/* What a reader's client may hold: it fetches ahead. What the user says is charged as well. */
static void size_queue(struct kafka_source *source, const struct mr_runtime *runtime)
{
    source->queue_bytes = kafka_settings_kilobytes(&source->settings, "queued.max.messages.kbytes");
    if (source->queue_bytes > 0)
        return;
    int64_t share = mr_memory_available(runtime->memory) / 16;
    share = share > QUEUE_MOST ? QUEUE_MOST : share;
    source->queue_bytes = share < QUEUE_LEAST ? QUEUE_LEAST : share;
}

static enum mr_status describe(struct kafka_source *source, struct mr_source_info *info,
                               struct mr_error *err)
{
    struct mr_arena *arena = source->arena;
    const struct kafka_partitions *partitions = &source->partitions;
    const char **notes = mr_arena_calloc(arena, 3, sizeof *notes);
    if (notes == NULL)
        return mr_error_nomem(err);
    info->rows = kafka_ranges_rows(partitions);
    notes[0] = mr_arena_printf(arena, "%d partition(s), %lld offsets to read", partitions->count,
                               (long long)info->rows);
    info->notes = notes;
    info->nnotes = 1;
    if (mr_options_text(source->options, "group") == NULL &&
        kafka_settings_get(&source->settings, "group.id") != NULL)
        notes[info->nnotes++] = "kafka.group.id is not joined: positions are this pipeline's own "
                                "(processes that share a topic: `group`)";
    if (source->incremental)
        info->guarantee = "every committed record exactly once, by offset: new records of all "
                          "partitions, also of partitions that are added";
    info->location = mr_arena_printf(arena, "kafka://%s %s", source->settings.servers,
                                     source->topics.pattern != NULL ? source->topics.pattern
                                                                    : source->topics.names[0]);
    if (source->topics.count > 1 && info->location != NULL)
        info->location =
            mr_arena_printf(arena, "%s and %d more", info->location, source->topics.count - 1);
    return notes[0] != NULL && info->location != NULL ? MR_OK : mr_error_nomem(err);
}

/* The client that answers questions: of the process in streaming, else one of this run. */
static enum mr_status find_client(struct kafka_source *source, struct mr_runtime *runtime,
                                  struct mr_error *err)
{
    rd_kafka_conf_t *conf;
    int64_t bytes = mr_memory_available(runtime->memory) / 8;
    size_queue(source, runtime);
    if (source->streaming && runtime->common != NULL) {
        MR_TRY(kafka_hub_get(&source->settings, &source->topics,
                             bytes < HUB_MOST ? bytes : HUB_MOST, runtime, &source->hub, err));
        source->client = kafka_hub_asker(source->hub);
        return MR_OK;
    }
    MR_TRY(kafka_settings_conf(&source->settings, &conf, err));
    return kafka_client_open(conf, KAFKA_CONSUMER, &source->client, err);
}

/* What the feeds of a hub hold counts while a plan is there. */
static enum mr_status charge_feeds(struct kafka_source *source, struct mr_memory *memory,
                                   struct mr_error *err)
{
    if (source->hub == NULL)
        return MR_OK;
    int64_t bytes = kafka_hub_queue_bytes(source->hub) * 5 / 4 * source->partitions.count;
    MR_TRY(mr_memory_charge(memory, bytes, err));
    source->memory = memory;
    source->charged = bytes;
    return MR_OK;
}

static enum mr_status bind_connected(struct kafka_source *source, const struct mr_source_bind *bind,
                                     struct mr_source_info *info, struct mr_error *err)
{
    MR_TRY(find_client(source, bind->runtime, err));
    if (source->all == NULL) {
        bool one = source->topics.pattern == NULL && source->topics.count == 1;
        MR_TRY(kafka_shape_ask(&source->shape, bind->runtime, one ? source->topics.names[0] : NULL,
                               source->arena, err));
        source->all = source->shape.columns;
        MR_TRY(choose(source, NULL, err));
        info->schema = source->schema;
    }
    MR_TRY(kafka_find_ranges(source, bind->runtime, err));
    source->planned = source->hub != NULL;
    MR_TRY(charge_feeds(source, bind->runtime->memory, err));
    info->max_readers = bind->runtime->parallelism > READERS ? 0 : READERS;
    return describe(source, info, err);
}

static void close_source(void *state)
{
    struct kafka_source *source = state;
    kafka_consumers_close(source);
    if (source->hub == NULL)
        kafka_client_close(source->client);
    mr_memory_credit(source->memory, source->charged);
    pthread_mutex_destroy(&source->lock);
    mr_tz_free(source->tz);
    mr_free(source);
}

static enum mr_status bind_source(const struct mr_source_bind *bind, void **out,
                                  struct mr_source_info *info, struct mr_error *err)
{
    *out = NULL;
    *info = (struct mr_source_info){.rows = -1, .bytes = -1, .location = "kafka"};
    struct kafka_source *source = mr_calloc(1, sizeof *source);
    if (source == NULL)
        return mr_error_nomem(err);
    mr_mutex_init(&source->lock);
    source->options = bind->options;
    source->arena = bind->arena;
    source->limit = -1;
    source->streaming = bind->runtime->streaming;
    enum mr_status status = read_options(source, bind, err);
    if (status == MR_OK)
        status = choose(source, NULL, err);
    info->schema = source->schema;
    info->side = source->side;
    info->lane_keys = source->lane_keys;
    if (status == MR_OK && !bind->runtime->offline)
        status = bind_connected(source, bind, info, err);
    if (status != MR_OK) {
        close_source(source);
        return status;
    }
    *out = source;
    return MR_OK;
}

static enum mr_status offer_source(void *state, struct mr_source_offer *offer,
                                   struct mr_source_info *info, struct mr_error *err)
{
    struct kafka_source *source = state;
    for (int i = 0; i < offer->npredicates; i++)
        offer->pushed[i] = MR_PUSH_REFUSED;
    source->limit = offer->npredicates == 0 ? offer->limit : -1;
    MR_TRY(choose(source, offer->columns, err));
    info->schema = source->schema;
    return MR_OK;
}

/* Offline what a pattern matches is not known. */
static bool reads_topic(const void *state, const char *topic)
{
    const struct kafka_source *source = state;
    for (int i = 0; i < source->topics.count; i++)
        if (strcmp(source->topics.names[i], topic) == 0)
            return true;
    for (int i = 0; i < source->partitions.count; i++)
        if (strcmp(source->partitions.items[i].topic, topic) == 0)
            return true;
    return false;
}

const struct mr_source mr_source_kafka = {
    .name = "kafka",
    .doc = "Reads topics of Apache Kafka, between offsets that are fixed when the run, or the "
           "epoch of a stream, begins.",
    .system = "kafka",
    .options = kafka_read_options,
    .flags = MR_SOURCE_STREAMING | MR_SOURCE_STABLE_ORDER | MR_SOURCE_IMMUTABLE,
    .bind = bind_source,
    .offer = offer_source,
    .splits = kafka_splits,
    .reader_open = kafka_reader_open,
    .next = kafka_reader_next,
    .position = kafka_reader_position,
    .reader_close = kafka_reader_close,
    .ack = kafka_lane_ack,
    .close = close_source,
    .reads = reads_topic,
    .group = &kafka_group,
};
