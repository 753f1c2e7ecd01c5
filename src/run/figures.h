/*
 * figures.h - what the nodes of a pipeline have done, added up over its plans: one in a batch run, one an epoch in a stream.
 */
#ifndef MR_RUN_FIGURES_H
#define MR_RUN_FIGURES_H

#include "exec/exec.h"

/* A node, with what the report says of it. Texts live as long as the figures. */
struct mr_figure {
    const char *label; /* "step 3 (sql): filterRows" */
    const char *step;  /* "step 3 (sql)" */
    const char *method;
    const char *part; /* its own method, where the step stands for several nodes; else NULL */
    enum mr_step_type type;
    enum mr_plan_node_kind kind;
    const struct mr_source *source; /* of a source */
    bool outer;                     /* rows come in from other steps */
    bool ran;                       /* in some plan; else its source has done it */
    bool measured;                  /* `done` says something: an epoch was executed */
    const char *location;           /* of a source or sink, or NULL */
    const char *guarantee;          /* of a source that reads incrementally, or NULL */
    bool repeats;
    const char *since; /* where it began, in the first plan that was executed, or NULL */
    char *upto;        /* heap: where it ended in the last one, or NULL */
    int nrules;        /* of a validation */
    const char **rules;
    int64_t *broken;     /* rows, by rule */
    int64_t rows_failed; /* -1 = no validation */
    struct mr_exec_step done;
    int64_t counters[MR_COUNTERS];
    int64_t peak; /* bytes of its account */
};

struct mr_figures {
    struct mr_arena arena; /* for texts */
    int count;
    struct mr_figure *items; /* heap; in the order of the plan */
    bool segmented;          /* some plan was made as far as its segments */
    char fingerprint[40];    /* of the last plan, "" = none was made */
};

/* Rows of the pipeline's own, of a run or of all epochs of a stream. */
struct mr_figure_rows {
    int64_t read;     /* by sources; not by the scan of a target that an upsert makes */
    int64_t written;  /* by loads */
    int64_t rejected; /* by validations, and what could not be decoded */
    int64_t late;     /* behind the watermark */
    int64_t letters;  /* written as dead letters, or to a quarantine */
    int64_t bytes_read;
    int64_t bytes_written;
};

void mr_figures_init(struct mr_figures *figures);
void mr_figures_reset(struct mr_figures *figures);
/* The plan's nodes are known from now on, without having done anything. */
enum mr_status mr_figures_know(struct mr_figures *figures, const struct mr_plan *plan,
                               struct mr_error *err);
/* Adds what the nodes of the plan have done: their counters, and their steps in the result, which may be that of a run that failed. */
enum mr_status mr_figures_add(struct mr_figures *figures, const struct mr_plan *plan,
                              const struct mr_exec_result *result, struct mr_error *err);
void mr_figures_rows(const struct mr_figures *figures, struct mr_figure_rows *out);
/* Is the counter (MR_COUNT_..) of an epoch one of which the most counts, and not the sum? */
bool mr_figures_is_peak(int counter);

#endif
