/*
 * context.h - what one reading of a pipeline file carries around: the arena, the request, and the problems found.
 *
 * A problem is reported and reading goes on, so that one run shows all of them; functions of config/ fail only when
 * memory is out.
 */
#ifndef MR_CONFIG_CONTEXT_H
#define MR_CONFIG_CONTEXT_H

#include "config/load.h"

struct mr_config_problem {
    struct mr_config_problem *next;
    struct mr_error err;
    struct mr_position order; /* in the main file: sorts the list */
    int sequence;
};

struct mr_config_context {
    struct mr_arena *arena;
    const struct mr_load_request *request;
    const struct mr_registry *registry;
    struct mr_config_problem *problems; /* newest first */
    int nproblems;
    const char *label;        /* of the step at hand, put in front of messages; or NULL */
    struct mr_position order; /* line > 0: problems in other files are listed here */
    struct mr_spec_note *notes;
    int nnotes;
    int notes_capacity;
};

void mr_config_context_init(struct mr_config_context *context, struct mr_arena *arena,
                            const struct mr_load_request *request);
/* Keeps a copy of err, with `at` as its place (when it is one) and the step in front. */
enum mr_status mr_config_report(struct mr_config_context *context, struct mr_position at,
                                const struct mr_error *err);
/* The same for a message without a hint. */
enum mr_status mr_config_problem(struct mr_config_context *context, struct mr_position at,
                                 const char *format, ...) __attribute__((format(printf, 3, 4)));
/* An unknown key, with the nearest of `names`, or all of them when none is near. */
enum mr_status mr_config_unknown_key(struct mr_config_context *context, struct mr_position at,
                                     const char *key, const char *const *names, size_t count);
enum mr_status mr_config_note(struct mr_config_context *context, struct mr_position at,
                              const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Sorts into file order and copies; the status of the first one, or MR_OK. */
enum mr_status mr_config_take_problems(struct mr_config_context *context,
                                       struct mr_load_errors *errors);
/* Directory part of a path ("." when it has none), and a path relative to a directory; arena-owned, NULL = no memory. */
char *mr_config_directory(struct mr_arena *arena, const char *path);
char *mr_config_join(struct mr_arena *arena, const char *directory, const char *path);

#endif
