/*
 * rules.h - what all validations share: conditions that rows must meet, counted per rule, with drop and quarantine.
 *
 * A validation binds a list of rules; each has a condition that is TRUE for the rows that break it. Port 0 carries the rows
 * that later steps see, port 1 (quarantine only) the bad rows with one more column, `_failed_rules`.
 */
#ifndef MR_OP_RULES_H
#define MR_OP_RULES_H

#include "op/bind.h"

enum mr_on_failure { MR_ON_FAILURE_FAIL, MR_ON_FAILURE_DROP, MR_ON_FAILURE_QUARANTINE };

/* The rows of an option table that every validation has; put them before MR_OPTION_END. */
extern const struct mr_option mr_rules_quarantine_options[];
extern const char *const mr_rules_on_failure_choices[];
#define MR_RULES_OPTIONS                                                                           \
    {.name = "onFailure",                                                                          \
     .type = MR_OPTION_ENUM,                                                                       \
     .choices = mr_rules_on_failure_choices,                                                       \
     .fallback = "fail",                                                                           \
     .doc = "What happens when rows break a rule: fail the run before anything is committed, "     \
            "drop the rows, or write them to `quarantine`."},                                      \
        {.name = "quarantine",                                                                     \
         .type = MR_OPTION_OBJECT,                                                                 \
         .fields = mr_rules_quarantine_options,                                                    \
         .doc = "Where bad rows go, with a column _failed_rules naming the rules they broke."},    \
        {.name = "maxFailures",                                                                    \
         .type = MR_OPTION_INT,                                                                    \
         .unit = "rows",                                                                           \
         .minimum = 0,                                                                             \
         .maximum = INT64_MAX,                                                                     \
         .doc = "More bad rows than this fail the run. Default: 0 with onFailure fail, else no "   \
                "limit."},                                                                         \
    {                                                                                              \
        .name = "sampleFailures", .type = MR_OPTION_INT, .fallback = "0", .unit = "rows",          \
        .minimum = 0, .maximum = 1000,                                                             \
        .doc = "How many bad rows to show in the log, with their values."                          \
    }

struct mr_rule {
    const char *name;
    const char *text; /* condition that is TRUE for a row that breaks the rule */
    struct mr_expr *broken;
};

struct mr_rules {
    struct mr_sql_session session;
    int count;
    struct mr_rule *rules;
    enum mr_on_failure on_failure;
    int64_t samples;
    atomic_int_fast64_t samples_shown;
    const struct mr_schema *side;
    const char *step; /* for the samples */
    struct mr_op_counts counts;
};

/* Room for `count` rules over input 0, with the shared options read; the caller fills names and texts, then binds. */
enum mr_status mr_rules_new(const struct mr_op_bind *bind, int count, struct mr_rules **out,
                            struct mr_error *err);
/* Compiles the texts and fills info. `option` is the option at fault when a text does not compile. */
enum mr_status mr_rules_bind(const struct mr_op_bind *bind, struct mr_rules *rules,
                             const char *option, struct mr_op_info *info, struct mr_error *err);
enum mr_status mr_rules_open(void *plan, struct mr_runtime *runtime, void **task,
                             struct mr_error *err);
enum mr_status mr_rules_push(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                             struct mr_error *err);
/*
 * For a validation that finds bad rows by itself: broken[rule * batch->rows + row] set for each. Counts, samples, and
 * emits what is left.
 */
enum mr_status mr_rules_settle(struct mr_rules *rules, struct mr_runtime *runtime,
                               struct mr_batch *batch, const uint8_t *broken, struct mr_emit *emit,
                               struct mr_error *err);

#endif
