/*
 * letter.h - options of dead letters, for sources and operators that have some (mr_source_info.side, mr_op_info.side). The
 * plan makes a sink of them.
 */
#ifndef MR_EXT_LETTER_H
#define MR_EXT_LETTER_H

#include "ext/option.h"

/* Rows of an option table, beside a row `topic`. */
#define MR_LETTER_FILE_ROWS                                                                        \
    {.name = "path", .type = MR_OPTION_STRING, .doc = "Files that they are written into."},        \
    {                                                                                              \
        .name = "format", .type = MR_OPTION_STRING, .fallback = "parquet",                         \
        .doc = "Format of these files."                                                            \
    }

/* Of an operator's rows for a topic: the column that is the records' headers; the others are the value. */
#define MR_LETTER_HEADERS "_headers"

/*
 * Does `deadLetter` of these options fit `choice`, the option that asks for dead letters ("onError") if `wanted`? It needs a path or a topic,
 * not both. *topic: the topic, NULL = files, or none are wanted.
 */
enum mr_status mr_letter_read(const struct mr_options *options, const char *choice, bool wanted,
                              const char **topic, struct mr_error *err);

#endif
