/*
 * byte_mask.h - where some bytes are among 64: the inner loop of scanners of text.
 */
#ifndef MR_BASE_BYTE_MASK_H
#define MR_BASE_BYTE_MASK_H

#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Bit i is set where data[i] is one of the four. 64 bytes are read. */
static inline uint64_t mr_byte_mask(const char *data, char a, char b, char c, char d)
{
    uint64_t mask = 0;
#ifdef __SSE2__
    const __m128i va = _mm_set1_epi8(a), vb = _mm_set1_epi8(b), vc = _mm_set1_epi8(c),
                  vd = _mm_set1_epi8(d);
    for (int i = 0; i < 4; i++) {
        __m128i in = _mm_loadu_si128((const __m128i *)(const void *)(data + 16 * i));
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(in, va), _mm_cmpeq_epi8(in, vb)),
                                   _mm_or_si128(_mm_cmpeq_epi8(in, vc), _mm_cmpeq_epi8(in, vd)));
        mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(hit) << (16 * i);
    }
#else
    for (int i = 0; i < 64; i++)
        mask |= (uint64_t)(data[i] == a || data[i] == b || data[i] == c || data[i] == d) << i;
#endif
    return mask;
}

#endif
