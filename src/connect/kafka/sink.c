/*
 * sink.c - toKafka: options, bind, and the table of callbacks.
 *
 * Rows are sent while they come, in a transaction that readers with read_committed do not see, and the commit of the epoch ends it together with
 * a record of what was committed. sink_link.c settings, encode.c rows as records, producer.c the handle that writers share, transaction.c its
 * transactions, progress.c what the cluster remembers, sink_commit.c the protocol of the engine.
 */
#include "connect/kafka/sink.h"

static const char *const formats[] = {"json", "avro", NULL};
static const char *const modes[] = {"append", "upsert", NULL};
static const char *const transactional[] = {"auto", "true", "false", NULL};

const struct mr_option kafka_load_options[] = {
    {.name = "topic", .type = MR_OPTION_STRING, .doc = "The topic to load. It is not made."},
    {.name = "topicColumn",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_COLUMN,
     .doc = "A column with the topic of each row; where it is NULL, `topic`."},
    {.name = "mode",
     .type = MR_OPTION_ENUM,
     .choices = modes,
     .fallback = "append",
     .doc = "append: a record a row, with outputMode update one a change. upsert: the topic is a "
            "table by key (compacted): every row has "
            "a key, and rows keep their order (one task loads)."},
    {.name = "key",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_COLUMN,
     .doc =
         "The column that is the record's key: texts and bytes as they are, numbers and times as "
         "their text, others as JSON; NULL: none."},
    {.name = "value",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_COLUMN,
     .doc =
         "The column that is the record's value, in the same forms; NULL: a tombstone. Without it "
         "the whole row is, as `format`, but for the columns of headers, partition, timestamp and "
         "topicColumn."},
    {.name = "format",
     .type = MR_OPTION_ENUM,
     .choices = formats,
     .fallback = "json",
     .doc = "Rows as values: json as in JSON files, or avro: a datum, with `schemaRegistry` behind "
            "a 0 "
            "and the number of its schema."},
    {.name = "schema",
     .type = MR_OPTION_STRING,
     .doc = "With format avro: the schema, as JSON or the path of its file (.avsc). Default: one "
            "made of "
            "the columns."},
    MR_KAFKA_REGISTRY_ROWS,
    {.name = "subject",
     .type = MR_OPTION_STRING,
     .doc = "With `schemaRegistry`: the subject that the schema is registered under. Default: "
            "<topic>-value."},
    {.name = "headers",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_COLUMN,
     .doc = "The column of the record's headers: array<struct<key:string,value:binary>>, as "
            "fromKafka has it, or map<string,string>."},
    {.name = "partition",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_COLUMN,
     .doc = "A column with the partition; where it is NULL, and by default, that of the key "
            "(murmur2, as clients in Java)."},
    {.name = "timestamp",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_COLUMN,
     .doc = "A column with the record's time (milliseconds are kept); NULL, and the default: now."},
    {.name = "transactional",
     .type = MR_OPTION_ENUM,
     .choices = transactional,
     .fallback = "auto",
     .doc = "true: rows become visible with the commit of the epoch, exactly once for readers with "
            "isolation.level read_committed. false: at once, at least once. auto: true, unless "
            "kafka.acks is not all."},
    {.name = "progressTopic",
     .type = MR_OPTION_STRING,
     .fallback = "_millrace_progress",
     .doc =
         "The compacted topic that remembers which epochs are committed; made if it is missing."},
    MR_KAFKA_CONNECTION_ROWS,
    MR_OPTION_END,
};

static enum mr_status check_topic(const struct kafka_load *load, const struct mr_sink_bind *bind,
                                  struct mr_error *err)
{
    struct kafka_producer *producer = NULL;
    bool owned = false;
    int partitions = 0;
    if (load->link.topic == NULL)
        return MR_OK;
    enum mr_status status =
        kafka_producer_get(&load->link, bind->runtime, 0, &producer, &owned, err);
    if (status == MR_OK && producer->phase != KAFKA_CLOSED)
        partitions = 1; /* an earlier epoch has asked */
    else if (status == MR_OK)
        status =
            kafka_topic_partitions(producer, bind->runtime, load->link.topic, &partitions, err);
    if (owned)
        kafka_producer_free(producer);
    MR_TRY(status);
    if (partitions > 0)
        return MR_OK;
    mr_options_error(bind->options, "topic", err, "there is no topic %s", load->link.topic);
    if (err != NULL)
        err->status = MR_SINK; /* the file is right, the cluster is not */
    mr_error_hint(err, "topics are not made here; check the name and the cluster");
    return MR_SINK;
}

static enum mr_status describe(const struct kafka_load *load, const struct mr_sink_bind *bind,
                               struct mr_sink_info *info, struct mr_error *err)
{
    const struct kafka_link *link = &load->link;
    const char **notes = mr_arena_calloc(bind->arena, 2, sizeof *notes);
    const char *topic = link->topic ? link->topic : mr_options_text(bind->options, "topicColumn");
    info->location = mr_arena_printf(bind->arena, "kafka://%s %s",
                                     link->settings.servers ? link->settings.servers : "", topic);
    if (notes == NULL || info->location == NULL)
        return mr_error_nomem(err);
    notes[0] = link->id != NULL
                   ? mr_arena_printf(bind->arena,
                                     "exactly once, in transactions of %s; readers need "
                                     "isolation.level read_committed",
                                     link->id)
                   : mr_arena_printf(bind->arena,
                                     "at least once: %s; rows are visible before the commit, and "
                                     "again when a run is repeated",
                                     link->why);
    info->notes = notes;
    info->nnotes = 1;
    info->transaction = link->id != NULL ? link->key : NULL;
    return notes[0] != NULL ? MR_OK : mr_error_nomem(err);
}

static enum mr_status bind_load(const struct mr_sink_bind *bind, void **state,
                                struct mr_sink_info *info, struct mr_error *err)
{
    /* Also without keys: a topic is a log, and keeps each change as a record. */
    *info = (struct mr_sink_info){.kinds = MR_SINK_APPEND | MR_SINK_UPSERT};
    struct kafka_load *load = mr_arena_calloc(bind->arena, 1, sizeof *load);
    if (load == NULL)
        return mr_error_nomem(err);
    load->sequence = bind->sequence;
    MR_TRY(kafka_columns_bind(bind->options, bind->schema, bind->runtime->pipeline_dir, bind->arena,
                              &load->columns, err));
    MR_TRY(kafka_link_read(&load->link, bind->options, bind->runtime, 0, bind->arena, err));
    if (load->columns.mode == KAFKA_LOAD_UPSERT)
        info->tasks = 1;
    if (!bind->runtime->offline)
        MR_TRY(check_topic(load, bind, err));
    *state = load;
    return describe(load, bind, info, err);
}

static void close_load(void *state)
{
    (void)state; /* all of it is in the plan's arena */
}

const struct mr_sink mr_sink_kafka = {
    .name = "toKafka",
    .doc = "Loads a topic of Apache Kafka; rows and the number of the epoch commit in one "
           "transaction.",
    .system = "kafka",
    .options = kafka_load_options,
    .flags = MR_SINK_ATOMIC,
    .bind = bind_load,
    .writer_open = kafka_writer_open,
    .write = kafka_writer_write,
    .writer_finish = kafka_writer_finish,
    .writer_close = kafka_writer_close,
    .prepare = kafka_load_prepare,
    .commit = kafka_load_commit,
    .recover = kafka_load_recover,
    .abort = kafka_load_abort,
    .close = close_load,
};
