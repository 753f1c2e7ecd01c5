/*
 * join_options.h - what the user wrote of a join: read once for expansion and for binding.
 */
#ifndef MR_OP_JOIN_OPTIONS_H
#define MR_OP_JOIN_OPTIONS_H

#include "op/bind.h"

enum mr_join_type {
    MR_JOIN_TYPE_INNER,
    MR_JOIN_TYPE_LEFT,
    MR_JOIN_TYPE_RIGHT,
    MR_JOIN_TYPE_FULL,
    MR_JOIN_TYPE_CROSS,
    MR_JOIN_TYPE_SEMI,
    MR_JOIN_TYPE_ANTI,
};

enum mr_join_form {
    MR_JOIN_BY_NOTHING, /* cross */
    MR_JOIN_BY_CONDITIONS,
    MR_JOIN_USING,   /* columns of one name on both sides, output once */
    MR_JOIN_BY_KEYS, /* leftKeys and rightKeys */
};

struct mr_join_request {
    enum mr_join_form form;
    const char *option;            /* that says so, for errors */
    int njoins;                    /* inputs - 1 */
    enum mr_join_type *types;      /* njoins */
    const char *const *conditions; /* njoins */
    int nkeys;
    const char *const *left_keys; /* USING: the names */
    const char *const *right_keys;
    /* Of one join that another made (join_expand.c): */
    bool swapped;            /* port 0 is the right frame */
    const char *right_frame; /* qualifier of the right frame */
    int nleft_frames;        /* column -> frame of the left side */
    const struct mr_option_pair *left_frames;
};

/* Checks everything that needs no schema. */
enum mr_status mr_join_read_options(const struct mr_op_bind *bind, struct mr_join_request *out,
                                    struct mr_error *err);
const char *mr_join_type_name(enum mr_join_type type);

extern const struct mr_option mr_join_options[];
/* The table of the parts that a join is expanded to. */
extern const struct mr_option mr_join_part_options[];

#endif
