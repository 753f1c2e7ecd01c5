/*
 * arrow.h - the source of given Arrow streams: fromArrow.
 */
#ifndef MR_CONNECT_ARROW_ARROW_H
#define MR_CONNECT_ARROW_ARROW_H

#include "ext/source.h"

extern const struct mr_source mr_source_arrow;

#endif
