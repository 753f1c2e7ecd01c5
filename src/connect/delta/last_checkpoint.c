/*
 * last_checkpoint.c - _delta_log/_last_checkpoint, the hint where the newest checkpoint is.
 *
 * It is advice: absent, cut short or not JSON only costs the listing of the whole log. Of its
 * members only the version is believed, and the size as a measure of work; which files a checkpoint has is read from the listing.
 */
#include "base/text.h"
#include "connect/delta/private.h"

#define HINT_PATH DELTA_LOG_DIRECTORY "_last_checkpoint"
/* checkpointSchema makes it a few hundred kilobytes at most */
#define HINT_MAX ((int64_t)16 << 20)

static int64_t number_of(const struct mr_json_tree *tree, const char *name)
{
    int64_t number = -1;
    for (uint32_t i = 1; i < tree->nodes[0].next; i = tree->nodes[i].next) {
        if (mr_slice_equal(mr_json_raw_key(tree, i), mr_slice_of(name)) &&
            tree->nodes[i].kind == MR_JSON_INTEGER &&
            !mr_text_to_int64(mr_json_raw(tree, i), false, &number))
            number = -1;
    }
    return number < 0 ? -1 : number;
}

static void parse(struct mr_slice text, int64_t *version, int64_t *actions)
{
    struct mr_json_tree tree;
    mr_json_tree_init(&tree);
    if (mr_json_tree_parse(&tree, text, 0) && tree.count && tree.nodes[0].kind == MR_JSON_OBJECT) {
        *version = number_of(&tree, "version");
        *actions = number_of(&tree, "size");
    }
    mr_json_tree_reset(&tree);
}

enum mr_status delta_last_checkpoint(const struct delta_table *table, int64_t *version,
                                     int64_t *actions, struct mr_error *err)
{
    int64_t unused;
    actions = actions ? actions : &unused;
    *version = *actions = -1;
    struct mr_store_entry entry;
    bool exists;
    MR_TRY(table->store->stat(table->handle, HINT_PATH, &entry, &exists, err));
    if (!exists || entry.size > HINT_MAX)
        return MR_OK;
    struct mr_arena arena;
    mr_arena_init(&arena, table->runtime->memory);
    struct mr_slice text;
    /* replaced while we read: then it is not believed */
    if (delta_load(table, HINT_PATH, entry.size, &arena, &text, NULL) == MR_OK)
        parse(text, version, actions);
    mr_arena_reset(&arena);
    return MR_OK;
}
