/*
 * text.h - the formats of text files: JSON lines and CSV.
 */
#ifndef MR_FORMAT_TEXT_H
#define MR_FORMAT_TEXT_H

#include "ext/format.h"

extern const struct mr_format mr_format_json;
extern const struct mr_format mr_format_csv;

#endif
