/*
 * letter.h - options of dead letters that are files, for sources and operators that have some (mr_source_info.side, mr_op_info.side). The
 * plan makes a sink of them.
 */
#ifndef MR_EXT_LETTER_H
#define MR_EXT_LETTER_H

#include "ext/option.h"

/* Rows of an option table. */
#define MR_LETTER_FILE_ROWS                                                                        \
    {.name = "path", .type = MR_OPTION_STRING, .doc = "Files that they are written into."},        \
    {                                                                                              \
        .name = "format", .type = MR_OPTION_STRING, .fallback = "parquet",                         \
        .doc = "Format of these files."                                                            \
    }

#endif
