/*
 * avro_resolve.h - private to enc: how two schemas match, for plans and for compatibility.
 */
#ifndef MR_ENC_AVRO_RESOLVE_H
#define MR_ENC_AVRO_RESOLVE_H

#include "enc/avro_plan.h"

enum avro_match { AVRO_MATCH_NONE, AVRO_MATCH_PROMOTED, AVRO_MATCH_EXACT };

/* Of the types themselves, not of what is inside of them. Unions match nothing here. */
enum avro_match avro_match(const struct mr_avro_schema *writer, const struct mr_avro_schema *reader,
                           bool lenient);
/* The reader's name is the writer's, without namespaces, or one of its aliases is. */
bool avro_same_name(const struct mr_avro_schema *writer, const struct mr_avro_schema *reader);
/* The branch that data of `writer` (no union) go to: the first exact one, else the first promotion; -1 none. */
int avro_branch(const struct mr_avro_schema *writer, const struct mr_avro_schema *reader,
                bool lenient);
/* The writer's field that a reader's field is read from: by name, then by its aliases; -1 none. */
int avro_field_of(const struct mr_avro_schema *writer, const struct mr_avro_field *field);

struct avro_compiler {
    struct mr_arena *arena;
    struct mr_map skips; /* address of a schema -> node */
    bool lenient;
    bool partial;
    int nodes;
    struct mr_error *err;
};

/* What one value is made of and where it goes. */
struct avro_value {
    const struct mr_avro_schema *writer;
    const struct mr_avro_schema *reader;
    const struct mr_type *type;
    int slot;
    bool nullable;
    const char *path;
};

struct avro_node *avro_node_new(struct avro_compiler *compiler, enum avro_op op,
                                const struct avro_value *value, int children);
enum mr_status avro_unresolved(struct avro_compiler *compiler, const struct avro_value *value);
enum mr_status avro_skip(struct avro_compiler *compiler, const struct mr_avro_schema *schema,
                         const struct avro_node **out);
/* Scalars: the types match already. */
enum mr_status avro_compile_leaf(struct avro_compiler *compiler, const struct avro_value *value,
                                 const struct avro_node **out);
/* Builders of a type, itself included: the next slot is so many further. */
int avro_slots(const struct mr_type *type);

#endif
