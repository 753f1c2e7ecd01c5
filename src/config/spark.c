/*
 * spark.c - sparkConf.
 *
 * One table says what each key of Spark means here: a quantity of the run, an option of the steps of a system, or
 * nothing, and then why. Every accepted entry gets one line in the plan, so that nobody believes in a knob that turns
 * nothing; every other key is an error, since a setting that is silently dropped is worse than one that is refused.
 *
 * Spark counts executors; we have one process. Executors times cores become threads, capped at the cores of this
 * machine; the memory of one executor becomes the budget, capped at half of the machine's.
 */
#include "config/spark.h"

#include "base/map.h"
#include "base/text.h"
#include "base/time.h"
#include "config/context.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define MIB (INT64_C(1) << 20)

enum spark_target {
    TO_QUANTITY,
    TO_STEPS, /* option of the steps of a system */
    TO_TIME_ZONE,
    TO_NOTHING,
    TO_REFUSAL,
};

struct spark_row {
    const char *key; /* ends with '*': a prefix */
    enum spark_target target;
    enum mr_option_type type;
    enum mr_spark_quantity quantity;
    const char *system;
    const char *option;
    const char *why; /* TO_NOTHING, TO_REFUSAL, TO_STEPS without a step */
    bool mebibytes;  /* a bare number counts MiB */
};

#define QUANTITY(k, t, q)                                                                          \
    {                                                                                              \
        .key = k, .target = TO_QUANTITY, .type = t, .quantity = q                                  \
    }
#define MEMORY(k, q)                                                                               \
    {                                                                                              \
        .key = k, .target = TO_QUANTITY, .type = MR_OPTION_SIZE, .quantity = q, .mebibytes = true  \
    }
#define STEPS(k, t, s, o)                                                                          \
    {                                                                                              \
        .key = k, .target = TO_STEPS, .type = t, .system = s, .option = o                          \
    }
#define NOTHING(k, w)                                                                              \
    {                                                                                              \
        .key = k, .target = TO_NOTHING, .type = MR_OPTION_STRING, .why = w                         \
    }
#define NO_SHUFFLE   "there is no shuffle over a network"
#define NO_EXECUTORS "threads start and end with the work, without executors"
#define S3A(k, t, o) STEPS("spark.hadoop.fs.s3a." k, t, "s3", o)

static const struct spark_row rows[] = {
    QUANTITY("spark.dynamicAllocation.enabled", MR_OPTION_BOOL, MR_SPARK_DYNAMIC),
    QUANTITY("spark.dynamicAllocation.minExecutors", MR_OPTION_INT, MR_SPARK_MIN),
    QUANTITY("spark.dynamicAllocation.initialExecutors", MR_OPTION_INT, MR_SPARK_INITIAL),
    QUANTITY("spark.dynamicAllocation.maxExecutors", MR_OPTION_INT, MR_SPARK_MAX),
    QUANTITY("spark.executor.instances", MR_OPTION_INT, MR_SPARK_INSTANCES),
    QUANTITY("spark.executor.cores", MR_OPTION_INT, MR_SPARK_CORES),
    MEMORY("spark.executor.memory", MR_SPARK_MEMORY),
    MEMORY("spark.executor.memoryOverhead", MR_SPARK_OVERHEAD),
    QUANTITY("spark.sql.autoBroadcastJoinThreshold", MR_OPTION_SIZE, MR_SPARK_BROADCAST),
    QUANTITY("spark.sql.adaptive.enabled", MR_OPTION_BOOL, MR_SPARK_ADAPTIVE),
    QUANTITY("spark.sql.ansi.enabled", MR_OPTION_BOOL, MR_SPARK_ANSI),
    {.key = "spark.sql.session.timeZone", .target = TO_TIME_ZONE, .type = MR_OPTION_STRING},
    S3A("multipart.size", MR_OPTION_SIZE, "multipartSize"),
    S3A("multipart.threshold", MR_OPTION_SIZE, "multipartThreshold"),
    S3A("threads.max", MR_OPTION_INT, "uploadThreads"),
    S3A("connection.maximum", MR_OPTION_INT, "maxConnections"),
    S3A("fast.upload.buffer", MR_OPTION_STRING, "uploadBuffer"),
    S3A("block.size", MR_OPTION_SIZE, "blockSize"),
    S3A("endpoint", MR_OPTION_STRING, "endpoint"),
    S3A("endpoint.region", MR_OPTION_STRING, "region"),
    S3A("path.style.access", MR_OPTION_BOOL, "pathStyle"),
    STEPS("spark.streaming.kafka.maxRatePerPartition", MR_OPTION_INT, "kafka",
          "maxRatePerPartition"),
    STEPS("spark.sql.sources.partitionOverwriteMode", MR_OPTION_STRING, "s3",
          "partitionOverwriteMode"),
    NOTHING("spark.hadoop.fs.s3a.fast.upload",
            "uploads always go out in parts while rows still come in"),
    NOTHING("spark.hadoop.fs.s3a.impl", "there is one S3 client"),
    {.key = "spark.hadoop.fs.s3a.access.key",
     .target = TO_REFUSAL,
     .why = "put accessKey into the credentials file"},
    {.key = "spark.hadoop.fs.s3a.secret.key",
     .target = TO_REFUSAL,
     .why = "put secretKey into the credentials file"},
    NOTHING("spark.sql.adaptive.coalescePartitions.enabled",
            "output files are sized by targetFileSize, not by shuffle partitions"),
    NOTHING("spark.sql.adaptive.skewJoin.enabled", "splits are taken by whichever worker is free"),
    NOTHING("spark.sql.adaptive.localShuffleReader.enabled", NO_SHUFFLE),
    NOTHING("spark.sql.adaptive.advisoryPartitionSizeInBytes", NO_SHUFFLE),
    NOTHING("spark.sql.adaptive.coalescePartitions.minPartitionSize", NO_SHUFFLE),
    NOTHING("spark.sql.adaptive.coalescePartitions.minPartitionNum", NO_SHUFFLE),
    NOTHING("spark.sql.adaptive.coalescePartitions.initialPartitionNum", NO_SHUFFLE),
    NOTHING("spark.sql.adaptive.coalescePartitions.parallelismFirst", NO_SHUFFLE),
    NOTHING("spark.sql.adaptive.skewJoin.skewedPartitionFactor", NO_SHUFFLE),
    NOTHING("spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes", NO_SHUFFLE),
    NOTHING("spark.sql.adaptive.forceApply", NO_SHUFFLE),
    NOTHING("spark.sql.adaptive.autoBroadcastJoinThreshold", NO_SHUFFLE),
    NOTHING("spark.sql.adaptive.forceOptimizeSkewedJoin", NO_SHUFFLE),
    NOTHING("spark.sql.shuffle.partitions", "the number of partitions is chosen by the plan"),
    NOTHING("spark.default.parallelism", "the number of partitions is chosen by the plan"),
    NOTHING("spark.dynamicAllocation.executorIdleTimeout", NO_EXECUTORS),
    NOTHING("spark.dynamicAllocation.cachedExecutorIdleTimeout", NO_EXECUTORS),
    NOTHING("spark.dynamicAllocation.schedulerBacklogTimeout", NO_EXECUTORS),
    NOTHING("spark.dynamicAllocation.sustainedSchedulerBacklogTimeout", NO_EXECUTORS),
    NOTHING("spark.dynamicAllocation.executorAllocationRatio", NO_EXECUTORS),
    NOTHING("spark.dynamicAllocation.shuffleTracking.enabled", NO_EXECUTORS),
    NOTHING("spark.dynamicAllocation.shuffleTracking.timeout", NO_EXECUTORS),
    NOTHING("spark.serializer", "rows are never serialised between threads"),
    NOTHING("spark.kryo*", "rows are never serialised between threads"),
    NOTHING("spark.shuffle.*", "there is no shuffle service: one process"),
    NOTHING("spark.memory.*", "one budget holds for everything; there are no fractions"),
    NOTHING("spark.driver.*", "there is no driver process"),
    NOTHING("spark.streaming.backpressure.*", "bounded queues always hold a source back"),
    NOTHING("spark.streaming.receiver.*",
            "positions are committed with the output; no write-ahead log is needed"),
    NOTHING("spark.streaming.stopGracefullyOnShutdown", "a run always stops at a consistent place"),
    NOTHING("spark.executor.extraJavaOptions", "there is no Java"),
    NOTHING("spark.executor.heartbeatInterval", "there are no executors to watch"),
    NOTHING("spark.app.name", "the pipeline's name is used"),
    NOTHING("spark.master", "there is no cluster"),
    NOTHING("spark.submit.*", "there is no cluster"),
    NOTHING("spark.yarn.*", "there is no cluster"),
    NOTHING("spark.kubernetes.*", "there is no cluster"),
    NOTHING("spark.network.*", "there is no network between workers"),
    NOTHING("spark.rpc.*", "there is no network between workers"),
    NOTHING("spark.locality.*", "there is one machine"),
    NOTHING("spark.speculation*", "free workers take the next split; none is run twice"),
    NOTHING("spark.eventLog.*", "every run writes a report"),
    NOTHING("spark.history.*", "every run writes a report"),
    NOTHING("spark.ui.*", "there is no web page"),
    NOTHING("spark.jars*", "there is no Java"),
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))

/* "fs.s3a.x" is short for "spark.hadoop.fs.s3a.x". */
static const struct spark_row *find_row(const char *key)
{
    char full[160];
    if (strncmp(key, "fs.s3a.", 7) == 0) {
        snprintf(full, sizeof(full), "spark.hadoop.%s", key);
        key = full;
    }
    for (size_t i = 0; i < NROWS; i++) {
        size_t size = strlen(rows[i].key);
        bool prefix = rows[i].key[size - 1] == '*';
        if (prefix ? strncmp(key, rows[i].key, size - 1) == 0 : strcmp(key, rows[i].key) == 0)
            return &rows[i];
    }
    return NULL;
}

static enum mr_status unknown(struct mr_config_context *context, struct mr_position at,
                              const char *key)
{
    const char *names[NROWS];
    size_t count = 0;
    for (size_t i = 0; i < NROWS; i++)
        if (rows[i].key[strlen(rows[i].key) - 1] != '*')
            names[count++] = rows[i].key;
    struct mr_error err;
    mr_error_config(&err, "sparkConf: \"%.120s\" has no counterpart here", key);
    const char *nearest = mr_nearest_name(key, names, count);
    if (nearest != NULL)
        mr_error_hint(&err, "did you mean \"%s\"?", nearest);
    else
        mr_error_hint(&err,
                      "remove it, or use the key of the step or of \"resources\" that means it");
    return mr_config_report(context, at, &err);
}

/* Spark's way of writing a value in ours: MiB, "-1" for never. */
static const char *translate(struct mr_arena *arena, const struct spark_row *row, const char *text)
{
    int64_t number;
    bool bare = mr_text_to_int64(mr_slice_of(text), true, &number);
    if (row->mebibytes && bare)
        return mr_arena_printf(arena, "%lldM", (long long)number);
    if (row->type == MR_OPTION_SIZE && bare && number < 0)
        return "0";
    if (row->option != NULL && strcmp(row->option, "uploadBuffer") == 0)
        return mr_text_equal_nocase(text, "disk") ? "disk" : "memory";
    return text;
}

static enum mr_status read_entry(struct mr_config_context *context, struct mr_spark *spark,
                                 const char *key, const char *text, struct mr_position at)
{
    const struct spark_row *row = find_row(key);
    if (row == NULL)
        return unknown(context, at, key);
    if (row->target == TO_REFUSAL)
        return mr_config_problem(context, at, "sparkConf: \"%s\" is not read; %s", key, row->why);
    if (row->target == TO_NOTHING)
        return mr_config_note(context, at, "%s: no effect: %s", key, row->why);
    const char *ours = translate(context->arena, row, text);
    if (ours == NULL)
        return MR_NOMEM;
    const struct mr_option checked = {.name = key, .type = row->type};
    struct mr_option_value value = {0};
    struct mr_error err;
    if (mr_option_parse(&checked, ours, &value, &err) != MR_OK)
        return mr_config_report(context, at, &err);
    if (row->target == TO_TIME_ZONE) {
        spark->time_zone = text;
        spark->time_zone_at = at;
        return MR_OK;
    }
    if (row->target == TO_QUANTITY) {
        spark->set[row->quantity] = true;
        spark->value[row->quantity] =
            row->type == MR_OPTION_BOOL ? value.u.boolean : value.u.integer;
        spark->text[row->quantity] = text;
        spark->position[row->quantity] = at;
        return MR_OK;
    }
    struct mr_spark_option *option = mr_arena_calloc(context->arena, 1, sizeof(*option));
    if (option == NULL)
        return MR_NOMEM;
    *option = (struct mr_spark_option){
        .key = key, .system = row->system, .option = row->option, .text = ours, .position = at};
    struct mr_spark_option **link = &spark->options;
    while (*link != NULL)
        link = &(*link)->next;
    *link = option;
    return MR_OK;
}

/* The value of --conf for a key, or NULL. The last one counts. */
static const char *override_of(const struct mr_load_request *request, const char *key)
{
    const char *text = NULL;
    for (const char *const *pair = request->conf; pair && pair[0]; pair += 2)
        if (strcmp(pair[0], key) == 0)
            text = pair[1];
    return text;
}

enum mr_status mr_spark_read(struct mr_config_context *context, const struct mr_option_value *pairs,
                             struct mr_spark *spark)
{
    const struct mr_load_request *request = context->request;
    struct mr_position command_line = {.file = "--conf"};
    memset(spark, 0, sizeof(*spark));
    int count = pairs->set ? pairs->u.pairs.count : 0;
    for (int i = 0; i < count; i++) {
        const struct mr_option_pair *pair = &pairs->u.pairs.items[i];
        if (override_of(request, pair->name) == NULL)
            MR_TRY(read_entry(context, spark, pair->name, pair->text, pair->position));
    }
    for (const char *const *pair = request->conf; pair && pair[0]; pair += 2)
        if (override_of(request, pair[0]) == pair[1])
            MR_TRY(read_entry(context, spark, pair[0], pair[1], command_line));
    return MR_OK;
}

enum mr_status mr_spark_apply_to_step(struct mr_config_context *context, struct mr_spark *spark,
                                      const char *system, struct mr_options *options)
{
    for (struct mr_spark_option *entry = spark->options; entry; entry = entry->next) {
        const struct mr_option *row = mr_option_find(options->table, entry->option);
        if (system == NULL || strcmp(system, entry->system) != 0 || row == NULL ||
            strcmp(row->name, entry->option) != 0 || (row->flags & MR_OPTION_UNBUILT))
            continue;
        struct mr_option_value *value = &options->values[row - options->table];
        if (value->set)
            continue;
        struct mr_error err;
        value->position = entry->position;
        if (mr_options_set_text(context->arena, options, row->name, entry->text, &err) != MR_OK)
            MR_TRY(mr_config_report(context, entry->position, &err));
        entry->used++;
    }
    return MR_OK;
}

static int machine_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return CPU_COUNT(&set);
    return 1;
}

static int64_t machine_memory(void)
{
    return (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
}

/* One line for a quantity that was written. */
static enum mr_status note(struct mr_config_context *context, const struct mr_spark *spark,
                           enum mr_spark_quantity quantity, const char *key, const char *effect)
{
    if (!spark->set[quantity])
        return MR_OK;
    return mr_config_note(context, spark->position[quantity], "%s = %s: %s", key,
                          spark->text[quantity], effect);
}

static enum mr_status apply_parallelism(struct mr_config_context *context, struct mr_spark *spark,
                                        const struct mr_options *resources, struct mr_spec *spec)
{
    const int64_t *value = spark->value;
    bool dynamic = spark->set[MR_SPARK_DYNAMIC] && value[MR_SPARK_DYNAMIC];
    bool use_max = dynamic && spark->set[MR_SPARK_MAX];
    bool wins = mr_options_has(resources, "parallelism");
    int64_t executors = use_max                          ? value[MR_SPARK_MAX]
                        : spark->set[MR_SPARK_INSTANCES] ? value[MR_SPARK_INSTANCES]
                                                         : 1;
    int64_t cores = spark->set[MR_SPARK_CORES] ? value[MR_SPARK_CORES] : 1;
    char effect[200];
    bool given = use_max || spark->set[MR_SPARK_INSTANCES] || spark->set[MR_SPARK_CORES];
    if (wins) {
        snprintf(effect, sizeof(effect), "no effect: resources.parallelism is given");
    } else if (given) {
        int64_t wanted =
            executors > 0 && cores > 0 && executors < 4096 && cores < 4096 ? executors * cores : 1;
        int machine = machine_cores();
        spec->parallelism = (int)(wanted < machine ? wanted : machine);
        const char *capped = wanted > machine ? ", capped by the cores of this machine" : "";
        if (use_max)
            snprintf(effect, sizeof(effect), "parallelism {min %lld, initial %lld, max %lld}%s: %d",
                     (long long)(spark->set[MR_SPARK_MIN] ? value[MR_SPARK_MIN] : 0),
                     (long long)(spark->set[MR_SPARK_INITIAL] ? value[MR_SPARK_INITIAL] : 0),
                     (long long)wanted, capped, spec->parallelism);
        else
            snprintf(effect, sizeof(effect), "parallelism %d%s", spec->parallelism, capped);
    }
    const char *off = "no effect: spark.dynamicAllocation.enabled is not true";
    const char *alone = "no effect: no maxExecutors is given, all cores are used";
    const char *bounds = wins || use_max ? effect : dynamic ? alone : off;
    if (spark->set[MR_SPARK_DYNAMIC] && !dynamic)
        MR_TRY(note(context, spark, MR_SPARK_DYNAMIC, "spark.dynamicAllocation.enabled",
                    "threads follow the work, up to the cores"));
    else
        MR_TRY(note(context, spark, MR_SPARK_DYNAMIC, "spark.dynamicAllocation.enabled", bounds));
    MR_TRY(note(context, spark, MR_SPARK_MIN, "spark.dynamicAllocation.minExecutors", bounds));
    MR_TRY(
        note(context, spark, MR_SPARK_INITIAL, "spark.dynamicAllocation.initialExecutors", bounds));
    MR_TRY(note(context, spark, MR_SPARK_MAX, "spark.dynamicAllocation.maxExecutors", bounds));
    MR_TRY(note(context, spark, MR_SPARK_INSTANCES, "spark.executor.instances", effect));
    return note(context, spark, MR_SPARK_CORES, "spark.executor.cores", effect);
}

static enum mr_status apply_memory(struct mr_config_context *context, struct mr_spark *spark,
                                   const struct mr_options *resources, struct mr_spec *spec)
{
    char effect[200] = "no effect: resources.memory is given";
    if (!mr_options_has(resources, "memory") && spark->set[MR_SPARK_MEMORY]) {
        int64_t wanted = spark->value[MR_SPARK_MEMORY];
        if (spark->set[MR_SPARK_OVERHEAD] && spark->value[MR_SPARK_OVERHEAD] < INT64_MAX - wanted)
            wanted += spark->value[MR_SPARK_OVERHEAD];
        int64_t most = machine_memory() / 2;
        spec->memory = wanted < most ? wanted : most;
        if (spec->memory < MIB)
            spec->memory = MIB;
        char size[48];
        mr_size_format(spec->memory, size, sizeof(size));
        snprintf(effect, sizeof(effect),
                 "resources.memory (memory and overhead of one executor)%s: %s",
                 wanted > most ? ", capped at half of this machine's" : "", size);
    } else if (!mr_options_has(resources, "memory")) {
        snprintf(effect, sizeof(effect), "no effect without spark.executor.memory");
    }
    MR_TRY(note(context, spark, MR_SPARK_MEMORY, "spark.executor.memory", effect));
    return note(context, spark, MR_SPARK_OVERHEAD, "spark.executor.memoryOverhead", effect);
}

static enum mr_status apply_switches(struct mr_config_context *context, struct mr_spark *spark,
                                     const struct mr_options *pipeline, struct mr_spec *spec)
{
    const struct mr_options *resources = mr_options_get(pipeline, "resources")->u.object;
    const struct mr_options *sql = mr_options_get(pipeline, "sql")->u.object;
    bool threshold = mr_options_has(resources, "broadcastThreshold");
    if (spark->set[MR_SPARK_BROADCAST] && !threshold)
        spec->broadcast_threshold = spark->value[MR_SPARK_BROADCAST];
    MR_TRY(note(
        context, spark, MR_SPARK_BROADCAST, "spark.sql.autoBroadcastJoinThreshold",
        threshold
            ? "no effect: resources.broadcastThreshold is given"
            : "kept as resources.broadcastThreshold, which changes nothing: the smaller side of a "
              "join is kept by all threads together"));
    spec->rewrites = !spark->set[MR_SPARK_ADAPTIVE] || spark->value[MR_SPARK_ADAPTIVE];
    MR_TRY(note(context, spark, MR_SPARK_ADAPTIVE, "spark.sql.adaptive.enabled",
                spec->rewrites ? "rewrites of the plan are on"
                               : "rewrites of the plan are off: nothing is pushed into sources"));
    bool ansi = mr_options_get(sql, "ansi")->by_user;
    if (spark->set[MR_SPARK_ANSI] && !ansi)
        spec->ansi = spark->value[MR_SPARK_ANSI];
    MR_TRY(note(context, spark, MR_SPARK_ANSI, "spark.sql.ansi.enabled",
                ansi ? "no effect: sql.ansi is given" : "sql.ansi"));
    if (spark->time_zone == NULL)
        return MR_OK;
    bool zone = mr_options_get(sql, "timeZone")->by_user;
    if (!zone)
        spec->time_zone = spark->time_zone;
    return mr_config_note(context, spark->time_zone_at, "spark.sql.session.timeZone = %.80s: %s",
                          spark->time_zone,
                          zone ? "no effect: sql.timeZone is given" : "sql.timeZone");
}

enum mr_status mr_spark_apply(struct mr_config_context *context, struct mr_spark *spark,
                              const struct mr_options *pipeline, struct mr_spec *spec)
{
    const struct mr_options *resources = mr_options_get(pipeline, "resources")->u.object;
    MR_TRY(apply_parallelism(context, spark, resources, spec));
    MR_TRY(apply_memory(context, spark, resources, spec));
    MR_TRY(apply_switches(context, spark, pipeline, spec));
    for (const struct mr_spark_option *entry = spark->options; entry; entry = entry->next) {
        if (entry->used > 0)
            MR_TRY(mr_config_note(context, entry->position, "%s = %.80s: %s of %d step%s",
                                  entry->key, entry->text, entry->option, entry->used,
                                  entry->used == 1 ? "" : "s"));
        else
            MR_TRY(mr_config_note(context, entry->position,
                                  "%s = %.80s: no effect: no step takes %s from here", entry->key,
                                  entry->text, entry->option));
    }
    return MR_OK;
}
