/*
 * sort_merge.c - k-way merge by a tree of losers.
 *
 * Each inner node keeps the cursor that lost there, so that the winner's next row meets log2(k) others
 * on its way up and nobody else (Knuth 5.4.1). A heap needs twice the comparisons. Equal rows: the
 * earlier cursor wins, which keeps the order of the input.
 */
#include "col/sort.h"

int mr_sort_cursor_compare(const struct mr_sort_merge *merge, const struct mr_sort_cursor *a,
                           const struct mr_sort_cursor *b)
{
    const struct mr_sort_layout *layout = merge->layout;
    for (int w = 0; w < layout->words; w++)
        if (a->key[w] != b->key[w])
            return a->key[w] < b->key[w] ? -1 : 1;
    if (merge->tie_key >= layout->nkeys)
        return 0;
    return mr_sort_compare(layout, merge->tie_key, a->batch, a->row, b->batch, b->row);
}

/* Does cursor a come before cursor b? */
static bool before(const struct mr_sort_merge *merge, int a, int b)
{
    const struct mr_sort_cursor *x = &merge->cursors[a], *y = &merge->cursors[b];
    if (x->done || y->done)
        return x->done == y->done ? a < b : y->done;
    int c = mr_sort_cursor_compare(merge, x, y);
    return c ? c < 0 : a < b;
}

enum mr_status mr_sort_merge_init(struct mr_sort_merge *merge, const struct mr_sort_layout *layout,
                                  int tie_key, int count, struct mr_error *err)
{
    *merge = (struct mr_sort_merge){.layout = layout, .tie_key = tie_key, .count = count};
    merge->cursors = mr_calloc((size_t)count + 1, sizeof *merge->cursors);
    merge->tree = mr_calloc((size_t)count + 1, sizeof *merge->tree);
    if (merge->cursors && merge->tree)
        return MR_OK;
    mr_sort_merge_reset(merge);
    return mr_error_nomem(err);
}

void mr_sort_merge_start(struct mr_sort_merge *merge)
{
    int n = merge->count;
    if (n == 0)
        return;
    /*
     * Leaves are nodes n .. 2n - 1, inner nodes 1 .. n - 1. Who comes first to a node waits there;
     * the second plays, and the winner goes on.
     */
    int *losers = merge->tree;
    for (int i = 0; i < n; i++)
        losers[i] = -1;
    for (int leaf = 0; leaf < n; leaf++) {
        int player = leaf;
        int node = (leaf + n) / 2;
        for (; node > 0; node /= 2) {
            if (losers[node] < 0) {
                losers[node] = player;
                player = -1;
                break;
            }
            if (before(merge, losers[node], player)) {
                int other = losers[node];
                losers[node] = player;
                player = other;
            }
        }
        if (player >= 0)
            losers[0] = player;
    }
}

void mr_sort_merge_fix(struct mr_sort_merge *merge)
{
    int n = merge->count, player = merge->tree[0];
    for (int node = (player + n) / 2; node > 0; node /= 2) {
        if (before(merge, merge->tree[node], player)) {
            int other = merge->tree[node];
            merge->tree[node] = player;
            player = other;
        }
    }
    merge->tree[0] = player;
}

void mr_sort_merge_reset(struct mr_sort_merge *merge)
{
    mr_free(merge->cursors);
    mr_free(merge->tree);
    *merge = (struct mr_sort_merge){0};
}
