/*
 * spec.h - a pipeline file after config/ has read and checked it: every key known, every value typed.
 *
 * Immutable, arena-owned. plan/ reads nothing else of the file.
 */
#ifndef MR_CONFIG_SPEC_H
#define MR_CONFIG_SPEC_H

#include "base/retry.h"
#include "ext/option.h"
#include "ext/registry.h"

#define MR_LOAD_MAX_ERRORS 32

/* All problems found in one reading (load, or plan), in file order. Each error's `where` is "file:line:column". */
struct mr_load_errors {
    int count;
    struct mr_error items[MR_LOAD_MAX_ERRORS];
};

struct mr_step_spec {
    int index; /* from 0 */
    enum mr_step_type type;
    const struct mr_method *method;
    const char *method_name; /* as written (may be an alias) */
    const char *name;        /* the user's, or NULL */
    const char *label;       /* "step 2 (filterRows)": for messages, the report and accounts */
    const char *key; /* its name, else "fromKafka#1", counted by method: what is remembered of it */
    const struct mr_options *options; /* of the method's table, credentials merged in */
    const char *register_as;          /* extract, transform; or NULL */
    const char *const *inputs;        /* inputDataFrames, in order; NULL = the primary frame */
    int ninputs;
    int output_mode;             /* enum mr_output_mode; of loads in mode streaming */
    const char *referenced;      /* referencedDataFrame of validations, or NULL */
    struct mr_position position; /* of the step */
    const char
        *credentials_error; /* what mr_spec_need_credentials says when nothing was found; or NULL */
    const char
        *vault_path; /* credentialPath that is in no file: Vault is asked (vault.h); or NULL */
};

/* Is this what a person calls the step: its name, its number from 1, or its key? NULL is no name. */
bool mr_step_is_called(const struct mr_step_spec *step, const char *name);

enum mr_mode { MR_MODE_BATCH, MR_MODE_STREAMING };

/* When the epochs of a stream begin (docs/internals/streaming.md). */
enum mr_trigger {
    MR_TRIGGER_INTERVAL,      /* from start to start; 0 = as soon as there are rows */
    MR_TRIGGER_ONCE,          /* one epoch */
    MR_TRIGGER_AVAILABLE_NOW, /* epochs until what was there at the start is read */
};
struct mr_stream_spec {
    enum mr_trigger trigger;
    int64_t interval_micros;
    const char *query_name; /* for people, or NULL */
};

/* A line of the plan about a sparkConf entry or another key: what it was mapped to, or why it has no effect. */
struct mr_spec_note {
    const char *text;
    struct mr_position position;
};

/* A PostgreSQL that keeps the state; libpq's keywords and values, ended by NULL. */
struct mr_state_server {
    struct mr_step_spec step; /* what there is to say of its credentials, as of a step's */
    const char *const *keywords;
    const char *const *values;
    const char *location; /* "host:5432/db" */
};

struct mr_spec {
    const char *file;      /* as given, for messages */
    const char *directory; /* of the file; relative paths start here */
    const char *name;
    const char *description; /* or NULL */
    const char *state_key;
    const char *state_path;                     /* directory, absolute or relative to `directory` */
    const struct mr_state_server *state_server; /* instead of the directory, or NULL */
    enum mr_mode mode;
    struct mr_stream_spec stream; /* mode streaming */
    int nsteps;
    const struct mr_step_spec *steps;
    struct mr_retry retry;
    bool retry_given; /* by the user: then it holds also where a protocol has its own */
    int64_t timeout_connect_micros; /* each 0 = none */
    int64_t timeout_statement_micros;
    int64_t timeout_step_micros;
    int64_t timeout_run_micros;
    int parallelism;             /* 0 = the machine's cores */
    int64_t memory;              /* bytes, 0 = half of what the cgroup allows */
    const char *temp_dir;        /* NULL = $TMPDIR or /tmp */
    int64_t batch_rows;          /* 0 = by bytes */
    int64_t resume_bytes;        /* of rows between two seals of a task, 0 = as the sinks say */
    int64_t broadcast_threshold; /* -1 = automatic */
    bool ansi;
    const char *time_zone;
    const char *metrics_path; /* or NULL */
    const char *metrics_format;
    bool uses_last_run_timestamp; /* ${last_run_timestamp} occurs outside of incremental steps */
    bool uses_watermark;          /* ... and inside of one */
    const char
        *parameters_hash;      /* of the parameters used, but ${run_id} and ${last_run_timestamp} */
    bool verify;               /* the rows of loads are counted, for millrace verify */
    bool rewrites;             /* false: sparkConf switched adaptive execution off */
    const char *metadata_json; /* or NULL */
    int nnotes;
    const struct mr_spec_note *notes;
};

#endif
