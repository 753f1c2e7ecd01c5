/*
 * resolve.c - matching by name or by field id, at every depth.
 *
 * Only leaves that are wanted are read. A struct, list or map of which every wanted field is missing from the file still
 * needs to know where it is NULL and how long its lists are: one leaf below it is then read for its levels alone.
 */
#include "format/parquet/resolve.h"

#include "base/text.h"

static enum mr_status refuse(const struct mr_pq_selection *selection, const struct mr_pq_node *node,
                             const struct mr_type *type, struct mr_error *err)
{
    char want[128], have[128];
    if (node->refused != NULL)
        return mr_error_data(err, MR_SOURCE, "%s: column %s cannot be read: %s",
                             selection->file->name, node->path, node->refused);
    return mr_error_data(err, MR_SOURCE, "%s: column %s is %s and cannot be read as %s",
                         selection->file->name, node->path,
                         mr_type_text(node->type, have, sizeof have),
                         mr_type_text(type, want, sizeof want));
}

static int find_id(const struct mr_pq_node *parent, int id)
{
    for (int i = 0; i < parent->nchildren; i++)
        if (parent->children[i].id == id)
            return i;
    return -1;
}

static bool is_wanted(const struct mr_field *fields, int nfields, const char *name)
{
    for (int i = 0; i < nfields; i++)
        if (strcmp(fields[i].name, name) == 0)
            return true;
    return false;
}

/*
 * The child that is the field: exact name first, else ASCII case ignored, but not one that another of
 * the `nfields` wanted fields names exactly; -1 absent, -2 several.
 */
static int find_name(const struct mr_pq_node *parent, const char *name,
                     const struct mr_field *fields, int nfields)
{
    int found = -1;
    for (int i = 0; i < parent->nchildren; i++)
        if (strcmp(parent->children[i].name, name) == 0)
            return i;
    for (int i = 0; i < parent->nchildren; i++)
        if (mr_text_equal_nocase(parent->children[i].name, name) &&
            !is_wanted(fields, nfields, parent->children[i].name))
            found = found == -1 ? i : -2;
    return found;
}

static enum mr_status find(const struct mr_pq_selection *selection, const struct mr_pq_node *parent,
                           const struct mr_field *fields, int nfields, int position,
                           const struct mr_pq_node **out, struct mr_error *err)
{
    const struct mr_field *field = &fields[position];
    int found;
    if (selection->by_position)
        found = position;
    else if (selection->resolve == MR_RESOLVE_ID && field->id != 0)
        found = find_id(parent, field->id);
    else
        found = find_name(parent, field->name, fields, nfields);
    if (found == -2)
        return mr_error_data(err, MR_SOURCE,
                             "%s: several columns are named \"%s\" but for upper and lower case",
                             selection->file->name, field->name);
    *out = found < 0 ? NULL : &parent->children[found];
    return MR_OK;
}

static struct mr_pq_wanted_leaf *add_leaf(struct mr_pq_selection *selection,
                                          const struct mr_pq_node *node, int slot_def, bool nested)
{
    struct mr_pq_wanted_leaf *leaf = &selection->leaves[selection->nleaves++];
    *leaf = (struct mr_pq_wanted_leaf){.node = node, .slot_def = slot_def, .nested = nested};
    return leaf;
}

/* The first leaf below; its slots are those of the last list on the way. */
static void add_levels(struct mr_pq_selection *selection, const struct mr_pq_node *node,
                       int slot_def)
{
    while (node->kind != MR_PQ_LEAF) {
        if (node->kind != MR_PQ_STRUCT)
            slot_def = node->element_def;
        node = node->children;
    }
    struct mr_pq_wanted_leaf *leaf = add_leaf(selection, node, slot_def, true);
    leaf->levels_only = true;
    leaf->type = mr_type_of(MR_TYPE_NULL);
    leaf->convert.from = MR_PQ_IN_NOTHING;
}

static enum mr_status want(struct mr_pq_selection *selection, const struct mr_pq_node *node,
                           const struct mr_type *type, int slot_def, int depth,
                           struct mr_pq_want *out, struct mr_error *err);

/*
 * Do the footer's counts say that the file has no value of this column? Then its type says nothing: writers that see only
 * NULLs guess one (pandas: DOUBLE).
 */
static bool has_only_nulls(const struct mr_pq_file *file, const struct mr_pq_node *node)
{
    for (int i = 0; i < file->ngroups; i++) {
        const struct mr_pq_column *column = &file->groups[i].columns[node->leaf];
        if (column->statistics.nulls != column->values)
            return false;
    }
    return true;
}

static enum mr_status want_leaf(struct mr_pq_selection *selection, const struct mr_pq_node *node,
                                const struct mr_type *type, int slot_def, bool nested,
                                struct mr_pq_want *out, struct mr_error *err)
{
    struct mr_pq_convert convert;
    if (mr_type_is_nested(type) && node->type != NULL && node->type->id != MR_TYPE_NULL)
        return refuse(selection, node, type, err);
    if (node->type == NULL)
        return refuse(selection, node, type, err);
    if (!mr_pq_convert_make(node, type, selection->floor, &convert)) {
        if (!has_only_nulls(selection->file, node))
            return refuse(selection, node, type, err);
        convert.from = MR_PQ_IN_NOTHING;
    }
    struct mr_pq_wanted_leaf *leaf = add_leaf(selection, node, slot_def, nested);
    leaf->convert = convert;
    leaf->type = type;
    leaf->levels_only = convert.from == MR_PQ_IN_NOTHING;
    out->leaf = selection->nleaves - 1;
    return MR_OK;
}

/* The type of child i of a struct, an element, or of one side of a map. */
static enum mr_status want_children(struct mr_pq_selection *selection,
                                    const struct mr_pq_node *node, const struct mr_type *type,
                                    int slot_def, int depth, struct mr_pq_want *out,
                                    struct mr_error *err)
{
    int first = selection->nleaves;
    out->nchildren = type->nfields;
    out->children =
        mr_arena_calloc(selection->arena, (size_t)type->nfields + 1, sizeof *out->children);
    if (out->children == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < type->nfields; i++) {
        const struct mr_pq_node *child = node->kind == MR_PQ_STRUCT ? NULL : &node->children[i];
        if (node->kind == MR_PQ_STRUCT)
            MR_TRY(find(selection, node, type->fields, type->nfields, i, &child, err));
        MR_TRY(want(selection, child, type->fields[i].type, slot_def, depth + 1, &out->children[i],
                    err));
    }
    if (selection->nleaves == first)
        add_levels(selection, node, slot_def);
    out->levels = first;
    return MR_OK;
}

static enum mr_status want(struct mr_pq_selection *selection, const struct mr_pq_node *node,
                           const struct mr_type *type, int slot_def, int depth,
                           struct mr_pq_want *out, struct mr_error *err)
{
    *out = (struct mr_pq_want){.type = type, .node = node, .leaf = -1, .levels = -1};
    if (node == NULL)
        return MR_OK;
    switch (node->kind) {
    case MR_PQ_LEAF:
        return want_leaf(selection, node, type, slot_def, depth > 0, out, err);
    case MR_PQ_STRUCT:
        if (type->id != MR_TYPE_STRUCT || node->nchildren == 0)
            return refuse(selection, node, type, err);
        return want_children(selection, node, type, slot_def, depth, out, err);
    default:
        if (type->id != (node->kind == MR_PQ_LIST ? MR_TYPE_LIST : MR_TYPE_MAP))
            return refuse(selection, node, type, err);
        return want_children(selection, node, type, node->element_def, depth, out, err);
    }
}

/* More leaves than this are never wanted: one for each scalar, list, map or struct of the schema. */
static int count_values(const struct mr_type *type)
{
    int count = 1;
    for (int i = 0; mr_type_is_nested(type) && i < type->nfields; i++)
        count += count_values(type->fields[i].type);
    return count;
}

enum mr_status mr_pq_resolve(struct mr_pq_selection *selection, const struct mr_pq_node *root,
                             const struct mr_schema *schema, struct mr_error *err)
{
    int most = 0;
    for (int i = 0; i < schema->nfields; i++)
        most += count_values(schema->fields[i].type);
    selection->ncolumns = schema->nfields;
    selection->columns =
        mr_arena_calloc(selection->arena, (size_t)schema->nfields + 1, sizeof *selection->columns);
    selection->leaves =
        mr_arena_calloc(selection->arena, (size_t)most + 1, sizeof *selection->leaves);
    if (selection->columns == NULL || selection->leaves == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < schema->nfields; i++) {
        const struct mr_field *field = &schema->fields[i];
        const struct mr_pq_node *node = NULL;
        MR_TRY(find(selection, root, schema->fields, schema->nfields, i, &node, err));
        if (node == NULL && !field->nullable && field->type->id != MR_TYPE_NULL)
            return mr_error_data(err, MR_SOURCE,
                                 "%s: column %s may not be NULL, and the file does not have it",
                                 selection->file->name, field->name);
        MR_TRY(want(selection, node, field->type, 0, 0, &selection->columns[i], err));
    }
    return MR_OK;
}
