/*
 * letter.c - `deadLetter` of a step, checked in one way wherever a step has it.
 */
#include "ext/letter.h"

enum mr_status mr_letter_read(const struct mr_options *options, const char *choice, bool wanted,
                              const char **topic, struct mr_error *err)
{
    const struct mr_option_value *letter = mr_options_get(options, "deadLetter");
    *topic = NULL;
    if (wanted && !letter->set)
        return mr_options_error(options, choice, err,
                                "%s deadLetter needs `deadLetter` with a path or a topic", choice);
    if (!wanted && letter->set)
        return mr_options_error(options, "deadLetter", err,
                                "`deadLetter` is only used with %s deadLetter", choice);
    if (!wanted)
        return MR_OK;
    const struct mr_options *to = letter->u.object;
    *topic = mr_options_text(to, "topic");
    if (mr_options_has(to, "path") == (*topic != NULL))
        return mr_options_error(options, "deadLetter", err,
                                "`deadLetter` needs a path or a topic%s",
                                *topic != NULL ? ", not both" : "");
    if (*topic != NULL && mr_options_get(to, "format")->by_user)
        return mr_options_error(to, "format", err,
                                "is that of files, and `deadLetter` has a topic");
    return MR_OK;
}
