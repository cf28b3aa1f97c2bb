// Philox4x32-10 (Salmon et al., 2011), bit for bit the generator of the CPU, and the keys of sequences.
#pragma once

__device__ __forceinline__ uint4 philox(uint2 key, uint4 c) {
    unsigned k0 = key.x, k1 = key.y;
    for (int round = 0; round < 10; round++) {
        if (round > 0) {
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        const unsigned h0 = __umulhi(0xD2511F53u, c.x), l0 = 0xD2511F53u * c.x;
        const unsigned h1 = __umulhi(0xCD9E8D57u, c.z), l1 = 0xCD9E8D57u * c.z;
        c = make_uint4(h1 ^ c.y ^ k0, l1, h0 ^ c.w ^ k1, l0);
    }
    return c;
}

// The key of a mask: these words, or that of sequence number `a`, `b` under a key in memory, so that a captured launch draws
// another mask when it is replayed with another key.
__device__ __forceinline__ uint2 mask_key(unsigned a, unsigned b, const unsigned *live) {
    if (!live) return make_uint2(a, b);
    const uint4 words = philox(make_uint2(live[0], live[1]), make_uint4(a, b, 0, 1));
    return make_uint2(words.x, words.y);
}
