/*
 * judge.c - whether the validations let a run pass.
 *
 * Decided from the totals over all tasks, after the last row and before the commit, so that neither the verdict nor its text depends
 * on timing. All validations that fail are told at once; the place of the error is the first.
 */
#include "run/judge.h"

/* "3 rows broke the rules (not_null(id): 2, range(age): 1)" */
static void describe(struct mr_op_counts *counts, long long failed, struct mr_bytes *text)
{
    mr_bytes_printf(text, "%lld row%s broke the rules (", failed, failed == 1 ? "" : "s");
    const char *separator = "";
    for (int rule = 0; rule < counts->count; rule++) {
        long long broken = atomic_load(&counts->values[rule]);
        if (broken == 0)
            continue;
        mr_bytes_printf(text, "%s%s: %lld", separator, counts->names[rule], broken);
        separator = ", ";
    }
    mr_bytes_printf(text, counts->limit > 0 ? "), maxFailures is %lld" : ")",
                    (long long)counts->limit);
}

enum mr_status mr_judge_some(const struct mr_plan *plan, const bool *which, struct mr_error *err)
{
    const struct mr_plan_node *first = NULL;
    bool bounded = false;
    struct mr_bytes text;
    mr_bytes_init(&text, 4096);
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_plan_node *node = &plan->nodes[i];
        struct mr_op_counts *counts = node->op_info.counts;
        if (node->kind != MR_PLAN_OP || !counts || (which && !which[i]))
            continue;
        int64_t failed = atomic_load(&counts->rows_failed);
        if (counts->limit < 0 || failed <= counts->limit)
            continue;
        if (first)
            mr_bytes_printf(&text, "; %s: ", node->step->label);
        else
            first = node;
        bounded = bounded || counts->limit > 0;
        describe(counts, failed, &text);
    }
    if (first) {
        mr_error_set(err, MR_VALIDATION, MR_CLASS_DATA, "%s",
                     text.data ? text.data : "rows broke the rules");
        mr_error_where(err, "%s", first->step->label);
        mr_error_hint(
            err, bounded ? "nothing was committed; sampleFailures shows some of the bad rows"
                         : "nothing was committed; onFailure drop or quarantine would let the good "
                           "rows pass, sampleFailures shows some of the bad ones");
    }
    mr_bytes_reset(&text);
    return first ? MR_VALIDATION : MR_OK;
}

enum mr_status mr_judge_validations(const struct mr_plan *plan, struct mr_error *err)
{
    return mr_judge_some(plan, NULL, err);
}
