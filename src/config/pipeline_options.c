/*
 * pipeline_options.c - the tables of pipeline-level keys, of a step, and of what methods have in common.
 *
 * They are tables like those of the methods, so that checking, the reference pages and the JSON Schema treat them alike.
 */
#include "config/pipeline_options.h"

#define SECONDS 1000000

static const char *const modes[] = {"batch", "streaming", NULL};
static const char *const step_types[] = {"extract", "transform", "validate",
                                         "load",    "maintain",  NULL};
static const char *const metric_formats[] = {"json", "jsonl", "prometheus", NULL};
static const char *const storage_levels[] = {"NONE",
                                             "DISK_ONLY",
                                             "DISK_ONLY_2",
                                             "DISK_ONLY_3",
                                             "MEMORY_ONLY",
                                             "MEMORY_ONLY_2",
                                             "MEMORY_ONLY_SER",
                                             "MEMORY_ONLY_SER_2",
                                             "MEMORY_AND_DISK",
                                             "MEMORY_AND_DISK_2",
                                             "MEMORY_AND_DISK_SER",
                                             "MEMORY_AND_DISK_SER_2",
                                             "OFF_HEAP",
                                             NULL};

static const struct mr_option state_options[] = {
    {.name = "path",
     .type = MR_OPTION_STRING,
     .doc = "A directory, relative to the pipeline file."},
    {.name = "postgres",
     .type = MR_OPTION_STRING,
     .doc =
         "Credentials (a credentialPath) of a PostgreSQL that keeps the state, in schema millrace, "
         "so that any host can take over."},
    MR_OPTION_END,
};

static const struct mr_option retry_options[] = {
    {.name = "maxAttempts",
     .type = MR_OPTION_INT,
     .fallback = "3",
     .minimum = 1,
     .maximum = 1000,
     .doc = "How often the smallest unit that can be repeated is tried in all."},
    {.name = "delay",
     .type = MR_OPTION_DURATION,
     .fallback = "1s",
     .unit = "seconds",
     .unit_micros = SECONDS,
     .doc = "Pause before the second attempt."},
    {.name = "maxDelay",
     .type = MR_OPTION_DURATION,
     .fallback = "60s",
     .unit = "seconds",
     .unit_micros = SECONDS,
     .doc = "No pause is longer."},
    {.name = "multiplier",
     .type = MR_OPTION_DOUBLE,
     .fallback = "2",
     .doc = "Each pause is this many times the one before."},
    {.name = "jitter",
     .type = MR_OPTION_BOOL,
     .fallback = "true",
     .doc = "Pauses are spread at random, so that clients do not come back together."},
    MR_OPTION_END,
};

static const struct mr_option timeout_options[] = {
    {.name = "connect",
     .type = MR_OPTION_DURATION,
     .fallback = "10s",
     .unit = "seconds",
     .unit_micros = SECONDS,
     .doc = "For making one connection."},
    {.name = "statement",
     .type = MR_OPTION_DURATION,
     .unit = "seconds",
     .unit_micros = SECONDS,
     .doc = "For one statement on a server."},
    {.name = "step",
     .type = MR_OPTION_DURATION,
     .unit = "seconds",
     .unit_micros = SECONDS,
     .doc = "For one step, on each thread that works on it: its own work and waiting for its "
            "server, not for other steps. The run ends with exit 8 and can be started again."},
    {.name = "run",
     .type = MR_OPTION_DURATION,
     .unit = "seconds",
     .unit_micros = SECONDS,
     .doc = "For the whole run."},
    MR_OPTION_END,
};

static const struct mr_option parallelism_options[] = {
    {.name = "max",
     .type = MR_OPTION_INT,
     .flags = MR_OPTION_REQUIRED,
     .minimum = 1,
     .maximum = 4096,
     .doc = "Tasks that compute at the same time."},
    {.name = "initial",
     .type = MR_OPTION_INT,
     .minimum = 0,
     .maximum = 4096,
     .doc = "Accepted; the number of threads follows the work from the start."},
    {.name = "min",
     .type = MR_OPTION_INT,
     .minimum = 0,
     .maximum = 4096,
     .doc = "Accepted; an idle thread costs nothing."},
    MR_OPTION_END,
};

static const struct mr_option resource_options[] = {
    {.name = "parallelism",
     .type = MR_OPTION_OBJECT,
     .flags = MR_OPTION_OR_SCALAR,
     .fields = parallelism_options,
     .doc = "Tasks that compute at the same time, as a number or as {min, initial, max}. Default: "
            "the cores."},
    {.name = "memory",
     .type = MR_OPTION_SIZE,
     .unit = "bytes",
     .minimum = 1,
     .maximum = INT64_MAX,
     .doc = "Hard limit of everything that the run holds in memory. Default: half of what the "
            "machine or its cgroup "
            "allows."},
    {.name = "tempDir",
     .type = MR_OPTION_STRING,
     .doc = "Directory for spilling. Default: $TMPDIR, else /tmp."},
    {.name = "batchRows",
     .type = MR_OPTION_INT,
     .unit = "rows",
     .minimum = 1,
     .maximum = 1 << 20,
     .doc = "Rows of a batch. Default: chosen by bytes."},
    {.name = "resumeBytes",
     .type = MR_OPTION_SIZE,
     .unit = "bytes",
     .minimum = 1,
     .maximum = INT64_MAX,
     .doc = "A restart does not read again what was sealed. A task seals what it has written, "
            "where a split ends, "
            "each time it has written so many bytes of rows (in memory); files end there. Default: "
            "four times targetFileSize for each partition written."},
    {.name = "broadcastThreshold",
     .type = MR_OPTION_SIZE,
     .unit = "bytes",
     .doc =
         "Accepted for jobs that come from Spark, and without effect: a join keeps the side with "
         "fewer rows whatever its size, once for all threads, and `broadcast` names another."},
    MR_OPTION_END,
};

static const struct mr_option sql_options[] = {
    {.name = "ansi",
     .type = MR_OPTION_BOOL,
     .fallback = "true",
     .doc = "Bad casts, overflow and division by zero are errors; with false they give NULL or "
            "wrap around."},
    {.name = "timeZone",
     .type = MR_OPTION_STRING,
     .fallback = "UTC",
     .doc = "Time zone of the session: \"Europe/Berlin\", \"+02:00\"."},
    MR_OPTION_END,
};

static const struct mr_option metric_options[] = {
    {.name = "path",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .doc = "File that the metrics of the run are written to."},
    {.name = "format",
     .type = MR_OPTION_ENUM,
     .fallback = "json",
     .choices = metric_formats,
     .doc = "How."},
    MR_OPTION_END,
};

const struct mr_option mr_pipeline_options[] = {
    {.name = "name",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .doc = "Name of the pipeline: letters, digits, _ . and -."},
    {.name = "mode",
     .aliases = "executionMode",
     .type = MR_OPTION_ENUM,
     .fallback = "batch",
     .choices = modes,
     .doc = "Batch runs to the end of its sources; streaming goes on, epoch "
            "after epoch, until it is stopped."},
    {.name = "description", .type = MR_OPTION_ANY, .doc = "Kept for the report."},
    {.name = "metadata", .type = MR_OPTION_ANY, .doc = "Any JSON, kept for the report."},
    {.name = "steps",
     .type = MR_OPTION_ANY,
     .flags = MR_OPTION_REQUIRED,
     .doc = "The steps, in order; at least one."},
    {.name = "parameters",
     .type = MR_OPTION_ANY,
     .doc = "Values of ${name} in any string of the file; --param name=value overrides them."},
    {.name = "stateKey",
     .type = MR_OPTION_STRING,
     .doc = "Identity of state, leases and watermarks. Default: the pipeline's name."},
    {.name = "state",
     .type = MR_OPTION_OBJECT,
     .flags = MR_OPTION_OR_SCALAR,
     .fields = state_options,
     .doc = "Where state is kept: a directory, or {postgres: ..}. Default: $MILLRACE_STATE, else "
            ".millrace beside the "
            "pipeline."},
    {.name = "retry",
     .type = MR_OPTION_OBJECT,
     .fields = retry_options,
     .fallback = "{}",
     .doc =
         "Back-off for transient errors; what is repeated is a request or a split, never the run."},
    {.name = "timeouts",
     .type = MR_OPTION_OBJECT,
     .fields = timeout_options,
     .fallback = "{}",
     .doc = "Limits of time; none where none is given."},
    {.name = "resources",
     .type = MR_OPTION_OBJECT,
     .fields = resource_options,
     .fallback = "{}",
     .doc = "What the run may use of the machine."},
    {.name = "sql",
     .type = MR_OPTION_OBJECT,
     .fields = sql_options,
     .fallback = "{}",
     .doc = "The session that expressions are evaluated in."},
    {.name = "metrics",
     .type = MR_OPTION_OBJECT,
     .fields = metric_options,
     .doc = "Metrics file of the run."},
    {.name = "verify",
     .type = MR_OPTION_BOOL,
     .fallback = "false",
     .doc = "Counts and hashes of all rows that are loaded are kept with the state, so that "
            "millrace verify can compare the targets with them."},
    {.name = "sparkConf",
     .type = MR_OPTION_PAIRS,
     .doc = "Settings of Spark: mapped where there is the same knob, accepted with a line in the "
            "plan where they have "
            "no meaning, else refused."},
    MR_OPTION_END,
};

const struct mr_option mr_step_options[] = {
    {.name = "type",
     .aliases = "stepType",
     .type = MR_OPTION_ENUM,
     .flags = MR_OPTION_REQUIRED,
     .choices = step_types,
     .doc = "What kind of step it is."},
    {.name = "method",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .doc = "What it does."},
    {.name = "config", .type = MR_OPTION_ANY, .doc = "The keys of the method."},
    {.name = "name", .type = MR_OPTION_STRING, .doc = "Name of the step, for messages and --step."},
    {.name = "configRef",
     .type = MR_OPTION_STRING,
     .doc =
         "A JSON file with more keys of the method, relative to the pipeline; keys in config win."},
    MR_OPTION_END,
};

#define REGISTER_AS                                                                                \
    {                                                                                              \
        .name = "registerAs", .type = MR_OPTION_STRING,                                            \
        .doc = "Names the resulting frame for later steps."                                        \
    }
#define INPUTS                                                                                     \
    {                                                                                              \
        .name = "inputDataFrames", .type = MR_OPTION_STRINGS, .flags = MR_OPTION_FRAME,            \
        .doc = "Earlier frames to work on, instead of the primary one."                            \
    }
#define REFERENCED                                                                                 \
    {                                                                                              \
        .name = "referencedDataFrame", .type = MR_OPTION_STRING,                                   \
        .flags = MR_OPTION_FRAME | MR_OPTION_REQUIRED,                                             \
        .doc = "The earlier frame that is looked up."                                              \
    }
#define CREDENTIAL_PATH                                                                            \
    {                                                                                              \
        .name = "credentialPath", .type = MR_OPTION_STRING,                                        \
        .doc = "Entry of the credentials file, or secret of Vault, whose keys complete the "       \
               "connection."                                                                       \
    }
#define CACHE                                                                                      \
    {.name = "cache",                                                                              \
     .type = MR_OPTION_BOOL,                                                                       \
     .doc = "A hint: a frame that is used twice is computed once anyway."},                        \
    {                                                                                              \
        .name = "cacheStorageLevel", .type = MR_OPTION_ENUM, .choices = storage_levels,            \
        .doc = "A hint, like cache."                                                               \
    }

static const struct mr_option extract_common[] = {REGISTER_AS, CREDENTIAL_PATH, CACHE,
                                                  MR_OPTION_END};
static const struct mr_option transform_common[] = {REGISTER_AS, INPUTS, CACHE, MR_OPTION_END};
static const struct mr_option reference_common[] = {REFERENCED, MR_OPTION_END};
static const struct mr_option validate_common[] = {MR_OPTION_END};
static const char *const output_modes[] = {"append", "update", "complete", NULL};
static const struct mr_option load_common[] = {
    CREDENTIAL_PATH,
    {.name = "trigger",
     .type = MR_OPTION_STRING,
     .doc =
         "Mode streaming: when an epoch begins. \"5 seconds\" (also processingTime=5 seconds): so "
         "long after the last one began; once: one epoch, and the process ends; availableNow: "
         "epochs until all is read that was there at the start. Default: as soon as there are "
         "rows."},
    {.name = "checkpointLocation",
     .type = MR_OPTION_STRING,
     .doc = "Mode streaming: a local directory for the state, like state of the pipeline."},
    {.name = "outputMode",
     .type = MR_OPTION_ENUM,
     .choices = output_modes,
     .doc = "Mode streaming: what of stateful steps comes out: append (default) what is final, "
            "update what has changed, complete everything in each epoch."},
    {.name = "queryName",
     .type = MR_OPTION_STRING,
     .doc = "Mode streaming: a name for people, in the report, the log and /metrics."},
    MR_OPTION_END,
};
static const struct mr_option target_common[] = {CREDENTIAL_PATH, MR_OPTION_END};

const struct mr_option *mr_common_options(const struct mr_method *method)
{
    switch (method->type) {
    case MR_STEP_EXTRACT:
        return extract_common;
    case MR_STEP_TRANSFORM:
        return transform_common;
    case MR_STEP_VALIDATE:
        return mr_method_min_inputs(method) >= 2 ? reference_common : validate_common;
    case MR_STEP_LOAD:
        return load_common;
    default:
        return target_common;
    }
}
