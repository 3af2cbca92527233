// The argument struct of every kernel: the catalogue that C++ and Java share. Java reads this file
// (class Catalogue) and lays the fields out itself, so it keeps to a small grammar: structs of plain
// fields, one a line, of type pointer, int, unsigned, float, long long or an earlier struct; and one
// `// kernel FILE/NAME: Struct, THREADS` line for every kernel. Sizes are checked on both sides.
//
// Common words: a row is one token of one sequence in the step. `Pieces`: numbers in 16 bits, in one
// plane (rounded) or two (the rounded number, then the rounded rest: the sum has about the precision
// of float); a plane is [rows][stride], the planes are `...PieceStride` numbers apart. Number format
// codes: 0 bfloat16, 1 float16. Strides are in numbers, not bytes.
#pragma once

// Where the cache lies. All sizes and offsets come from Java's CacheLayout, in bytes; see its class
// comment for the parts. keyBits = valueBits = 16: fp16 policy, no windows.
struct CacheView {
  unsigned char* pages;        // [pages][kvHeads][pageHeadBytes]
  unsigned char* windows;      // [slots][layers][kvHeads][windowHeadBytes]
  const int* pageTable;        // [slots][layers][maxPages] page numbers
  int layer;
  int layers;
  int maxPages;
  int kvHeads;
  int headDim;
  int keyBits;
  int valueBits;
  int group;
  int window;
  int sink;
  int pageTokens;
  int pageHeadBytes;
  int windowHeadBytes;
  int keyScaleOffset;
  int keyZeroOffset;
  int valueCodeOffset;
  int valueScaleOffset;
  int valueZeroOffset;
  int fp16ValueOffset;
  int sinkValueOffset;
  int windowKeyOffset;
  int windowValueOffset;
};

// Exact K and V of a step's prompts: of its own tokens in rows, of those before it in pages of 32
// tokens, which are staging pages (float16, [32][headDim] of K, then of V) or, where the cache keeps
// everything in float16, its own (K in tiles).
struct PromptView {
  const unsigned short* keys;  // float16 [rows][kvHeads][headDim], the step's tokens
  const unsigned short* values;
  const int* firstRow;         // [sequences] row of position 0; negative where that is before the step
  const int* length;           // [sequences] tokens after the step
  const int* earlier;          // [sequences] tokens before the step
  const int* slots;            // [sequences]
  unsigned char* keptPages;    // [pages][kvHeads][K, then V]; null: no sequence has earlier tokens
  const int* keptTable;        // [slots][keptLayers][keptMaxPages] page numbers
  int keptLayer;
  int keptLayers;
  int keptMaxPages;
  int keptInTiles;             // 1: K as in pages of the cache
};

// embedding.cu: out[row] = table[tokens[row]] as float; −1 gives zeros. −2 stands for the token that was
// drawn last for the row's slot; one that could not be drawn gives NaNs. Grid: rows.
// kernel embedding/embed_tokens: EmbeddingArguments, 256
struct EmbeddingArguments {
  const unsigned short* table;  // pieces [planes][vocabulary][stride]
  long long pieceStride;
  const int* tokens;            // [rows]
  const int* slots;             // [rows], or null: no token is −2
  const int* drawn;             // [slots], or null
  float* out;                   // [rows][outStride]
  int stride;
  int outStride;
  int width;
  int pieces;
  int format;
};

// norm.cu: pieces of norm(x[rowIndex[row]]) · weight (+ bias); columns width..outStride become 0.
// RMS: x / sqrt(mean(x²) + epsilon); layer: (x − mean) / sqrt(variance + epsilon). Grid: rows.
// kernel norm/rms_norm: NormArguments, 256
// kernel norm/layer_norm: NormArguments, 256
struct NormArguments {
  const float* x;           // [..][stride]
  const int* rowIndex;      // [rows] row of x for each row of out; null: the same
  const float* weight;      // [width]
  const float* bias;        // [width] or null
  unsigned short* out;      // pieces [planes][rows][outStride]
  long long outPieceStride;
  int* broken;              // [rows of x], set to 1 where a row is not finite; or null
  int stride;
  int outStride;
  int width;
  int pieces;
  int format;
  float epsilon;
};

// matmul.cu: acc[m][n] = Σ_k x[m][k] · weight[n][k] in float, then by epilogue
//   0 store     out[m][n] = acc + bias[n]
//   1 add       out[m][n] += acc + bias[n]
//   2 silu      outPieces[m][j] = silu(acc of gate j) · (acc of up j): the weight's rows are gate and
//               up interleaved by 8 (row 16i + r: gate 8i + r for r < 8, up 8i + r − 8 else)
//   3 gelu      outPieces[m][n] = gelu(acc + bias[n]), exact error function
//   4 gelu tanh outPieces[m][n] = the tanh form
// depth is a multiple of 64 (zero-padded on both sides); columns any (of silu a multiple of 16: the
// pairs); xStride and weight stride = depth. The order of each element's sum depends on (columns,
// depth) alone. Pieces written beyond the last column up to outStride become 0. matmul.cu has the tiles
// of the kernels and their grids.
// kernel matmul/matmul_bf16_rows16: MatmulArguments, 128
// kernel matmul/matmul_bf16_rows32: MatmulArguments, 128
// kernel matmul/matmul_bf16_rows64: MatmulArguments, 128
// kernel matmul/matmul_bf16_rows128: MatmulArguments, 256
// kernel matmul/matmul_bf16_wide: MatmulArguments, 256
// kernel matmul/matmul_bf16_pieces16: MatmulArguments, 128
// kernel matmul/matmul_bf16_pieces64: MatmulArguments, 128
// kernel matmul/matmul_fp16_rows16: MatmulArguments, 128
// kernel matmul/matmul_fp16_rows32: MatmulArguments, 128
// kernel matmul/matmul_fp16_rows64: MatmulArguments, 128
// kernel matmul/matmul_fp16_rows128: MatmulArguments, 256
// kernel matmul/matmul_fp16_wide: MatmulArguments, 256
// kernel matmul/matmul_fp16_pieces16: MatmulArguments, 128
// kernel matmul/matmul_fp16_pieces64: MatmulArguments, 128
struct MatmulArguments {
  const unsigned short* x;       // pieces [xPieces][rows][depth]
  long long xPieceStride;
  const unsigned short* weight;  // pieces [weightPieces][columns][depth]
  long long weightPieceStride;
  const float* bias;             // [columns] or null
  float* out;                    // [rows][outStride], epilogues 0 and 1
  unsigned short* outPieces;     // [outPieceCount][rows][outStride], epilogues 2 to 4
  long long outPieceStride;
  float* partials;               // [tiles][splits][tile's numbers] side by side, [grid.x][tile's
                                 // numbers] of `wide` with several splits; else null
  int* arrivals;                 // [tiles], 0 before and after the kernel; null where grid.z is 1
  int rows;
  int columns;
  int depth;
  int splits;                    // of depth, fixed by (columns, depth)
  int outStride;
  int xPieces;
  int weightPieces;
  int outPieceCount;
  int epilogue;
};

// epilogue.cu: the same epilogues for sums that stand in memory; one piece. Grid: rows.
// kernel epilogue/finish_product: EpilogueArguments, 256
struct EpilogueArguments {
  const float* sums;          // [rows][columns], columns as of the weight
  const float* bias;          // [columns] or null
  float* out;                 // [rows][outStride], epilogues 0 and 1
  unsigned short* outPieces;  // [rows][outStride], epilogues 2 to 4; beyond the last column 0
  int columns;
  int outStride;
  int epilogue;
  int format;
};

// rotary.cu: per row and head: query/key norm if given, rotation of halves by the position's angles;
// queries · queryScale to `query`; K and V rounded to float16, of a prompt into keys and values, of a
// decode row into the cache (window, sink, or fp16 page). Rows with position < 0 are skipped. Grid:
// (rows, ceil((queryHeads + 2 · kvHeads) / 4)).
// kernel rotary/rotate_prompt: RotaryArguments, 128
// kernel rotary/rotate_decode: RotaryArguments, 128
struct RotaryArguments {
  CacheView cache;            // rotate_decode only
  const float* qkv;           // [rows][qkvStride]: queries, keys, values side by side
  const float* cosSin;        // [maxPositions][headDim]: cosines of the pairs, then sines
  const int* positions;       // [rows], −1: no row
  const int* slots;           // [rows], rotate_decode only
  const float* queryNorm;     // [headDim] or null
  const float* keyNorm;       // [headDim] or null
  float* query;               // [rows][queryHeads][headDim]
  unsigned short* keys;       // float16 [rows][kvHeads][headDim], rotate_prompt only
  unsigned short* values;     // likewise
  int qkvStride;
  int queryHeads;
  int kvHeads;
  int headDim;
  float queryScale;           // log2(e) / sqrt(headDim): attention takes powers of 2
  float epsilon;
};

// prefill_attention.cu: causal attention of prompts side by side, whole or in parts. A block handles one
// tile of up to 64 query rows of one sequence and one query head. Grid: (tiles, queryHeads).
// The kernel's number is the largest head it takes; with `two_pieces`, queries, probabilities and out
// come in two pieces, else in one. Columns of out beyond queryHeads · headDim up to outStride become 0.
// kernel prefill_attention/prefill_attention_32: PrefillAttentionArguments, 128
// kernel prefill_attention/prefill_attention_32_two_pieces: PrefillAttentionArguments, 128
// kernel prefill_attention/prefill_attention_64: PrefillAttentionArguments, 128
// kernel prefill_attention/prefill_attention_64_two_pieces: PrefillAttentionArguments, 128
// kernel prefill_attention/prefill_attention_96: PrefillAttentionArguments, 128
// kernel prefill_attention/prefill_attention_96_two_pieces: PrefillAttentionArguments, 128
// kernel prefill_attention/prefill_attention_128: PrefillAttentionArguments, 128
// kernel prefill_attention/prefill_attention_128_two_pieces: PrefillAttentionArguments, 128
// kernel prefill_attention/prefill_attention_192: PrefillAttentionArguments, 128
// kernel prefill_attention/prefill_attention_192_two_pieces: PrefillAttentionArguments, 128
// kernel prefill_attention/prefill_attention_256: PrefillAttentionArguments, 128
// kernel prefill_attention/prefill_attention_256_two_pieces: PrefillAttentionArguments, 128
struct PrefillAttentionArguments {
  PromptView prompts;
  const float* query;           // [rows][queryHeads][headDim], scaled
  unsigned short* out;          // pieces [planes][rows][outStride]
  long long outPieceStride;
  const int* tileSequence;      // [tiles]
  const int* tileStart;         // [tiles] position of the tile's first query
  int queryHeads;
  int kvHeads;
  int headDim;
  int firstQueryRow;            // row of keys that row 0 of query and out belongs to
  int slidingWindow;            // 0: none
  int outStride;
  int format;
};

// cache.cu: keeps a prefilled prompt: pages, sink and window as the state machine has them after
// `stored` tokens; pages below `sharedPages` stay as they are. Where the cache keeps everything in
// float16, only what the step has added. Grid: (chunks of pageTokens tokens of the longest, kvHeads,
// sequences).
// kernel cache/store_prompt: StorePromptArguments, 128
struct StorePromptArguments {
  CacheView cache;
  PromptView prompts;
  const int* stored;            // [sequences] 0: nothing is stored; else the length
  const int* sharedPages;       // [sequences]
};

// cache.cu: puts the step's tokens below `staged` into staging pages. Grid: (pages that the longest part
// touches, kvHeads, sequences).
// kernel cache/stage_prompt: StagePromptArguments, 128
struct StagePromptArguments {
  PromptView prompts;
  const int* staged;            // [sequences] tokens that the sequence has staging pages for
  int kvHeads;
  int headDim;
};

// cache.cu: after a decode step has attended, quantizes what the row's token (at `positions[row]`)
// pushes out of the windows: K a whole window, V the oldest token. Grid: (rows, kvHeads).
// kernel cache/flush_window: FlushArguments, 128
struct FlushArguments {
  CacheView cache;
  const int* positions;         // [rows], −1: no row
  const int* slots;             // [rows]
};

// decode_attention.cu, decode_attention_kivi.cu (bits of K and V in the name; wide: headDim over 128):
// one new token a row against its cached context, which holds the new token already (in the window, or
// in the fp16 page). The context after the sink is cut at multiples of splitTokens; the sink goes with
// split 0. Grid: (splits, kvHeads · ceil(query heads of a K/V head / 8), rows); splits beyond a row's
// own do nothing. Results of a split are not normalized: out = Σ 2^(score − max) · v, sum = Σ 2^(score
// − max).
// kernel decode_attention/decode_attention_fp16: DecodeAttentionArguments, 128
// kernel decode_attention/decode_attention_fp16_wide: DecodeAttentionArguments, 128
// kernel decode_attention_kivi/decode_attention_kivi_k2v2: DecodeAttentionArguments, 128
// kernel decode_attention_kivi/decode_attention_kivi_k2v4: DecodeAttentionArguments, 128
// kernel decode_attention_kivi/decode_attention_kivi_k4v2: DecodeAttentionArguments, 128
// kernel decode_attention_kivi/decode_attention_kivi_k4v4: DecodeAttentionArguments, 128
// kernel decode_attention_kivi/decode_attention_kivi_k2v2_wide: DecodeAttentionArguments, 128
// kernel decode_attention_kivi/decode_attention_kivi_k2v4_wide: DecodeAttentionArguments, 128
// kernel decode_attention_kivi/decode_attention_kivi_k4v2_wide: DecodeAttentionArguments, 128
// kernel decode_attention_kivi/decode_attention_kivi_k4v4_wide: DecodeAttentionArguments, 128
struct DecodeAttentionArguments {
  CacheView cache;
  const float* query;           // [rows][queryHeads][headDim], scaled
  const int* positions;         // [rows], −1: no row
  const int* slots;             // [rows]
  float* partialOut;            // [rows][maxSplits][queryHeads][headDim]
  float* partialMax;            // [rows][maxSplits][queryHeads]
  float* partialSum;            // [rows][maxSplits][queryHeads]
  int queryHeads;
  int splitTokens;
  int maxSplits;
  int slidingWindow;            // 0: none; splits wholly before it do nothing
  int pieces;                   // 2: queries and probabilities in two pieces
};

// decode_attention.cu: merges the splits of a row in their order by log-sum-exp. Grid: (rows, queryHeads).
// kernel decode_attention/merge_splits: MergeSplitsArguments, 128
struct MergeSplitsArguments {
  const float* partialOut;
  const float* partialMax;
  const float* partialSum;
  const int* positions;         // [rows], −1: writes zeros
  unsigned short* out;          // pieces [planes][rows][outStride]
  long long outPieceStride;
  int sink;
  int queryHeads;
  int headDim;
  int splitTokens;
  int maxSplits;
  int slidingWindow;
  int outStride;
  int pieces;
  int format;
};

// How one row is sampled; an array of these lies in device memory. The meaning and order of all steps
// is that of Java's TokenSampler and PhiloxRandom.
struct SamplingRow {
  int slot;               // row of counts; < 0: no row, unless one to score
  int step;               // tokens generated so far
  int sampleIndex;
  int topK;               // 0: off
  unsigned seedLow;
  unsigned seedHigh;
  unsigned rowHashLow;
  unsigned rowHashHigh;
  float inverseTemperature;  // 0: greedy
  float topP;             // 1: off
  float minP;             // 0: off
  float repetitionPenalty;   // 1: off
  float presencePenalty;
  float frequencyPenalty;
  int heldBackBegin;      // of heldBack: tokens that become −infinity
  int heldBackEnd;
  int result;             // where its results go
  int topCount;           // of likeliest tokens to report, 0 to 100; < 0: no log-probabilities
  int target;             // >= 0: a token to score; nothing is drawn then, other fields mean nothing
};

// sampling.cu: one block a row. drawn[result] becomes the token, or −1 where a logit is NaN or the largest
// is infinite; where asked for, logprobs[result] the natural log-probability of the token before penalties
// and temperature, and the likeliest tokens are listed; the counts of rows with penalties are kept up to
// date. Of a row to score drawn[result] is the likeliest, or −1, and logprobs[result] that of its target,
// or NaN.
// kernel sampling/sample_tokens: SampleArguments, 512
struct SampleArguments {
  float* logits;               // [rows][stride], afterwards −infinity where held back
  const SamplingRow* samplings;  // [rows]
  const int* heldBack;
  unsigned short* counts;      // [slots][vocabulary]: bit 15 in the prompt, else times generated; or null
  int* drawn;                  // [results]
  float* logprobs;             // [results]
  int* topTokens;              // [results that list any][topStride] likeliest first
  float* topLogprobs;          // [results that list any][topStride]
  int topStride;
  int vocabulary;
  int stride;
};

// sampling.cu: counts[slots[i]][tokens[i]] = in the prompt, or generated, times[i] times. Grid: ceil(count /
// 256).
// kernel sampling/set_counts: SetCountsArguments, 256
struct SetCountsArguments {
  unsigned short* counts;      // [slots][vocabulary]
  const int* slots;            // [count]
  const int* tokens;           // [count], those beyond the vocabulary are left out
  const int* times;            // [count]
  int count;
  int vocabulary;
};

// copy.cu: target[targetIndex[i]] = source[sourceIndex[i]] for blocks of `bytes` bytes (a multiple of
// 4); a null index means i. Grid: (chunks of 4096 bytes, count).
// kernel copy/copy_blocks: CopyBlocksArguments, 256
struct CopyBlocksArguments {
  unsigned char* target;
  const unsigned char* source;
  const int* targetIndex;
  const int* sourceIndex;
  long long bytes;
};

// copy.cu: table[indices[i]] = values[i]. Grid: ceil(count / 256).
// kernel copy/scatter_ints: ScatterArguments, 256
struct ScatterArguments {
  int* table;
  const int* indices;
  const int* values;
  int count;
};

// roofs.cu: the tensor cores' own rate. A warp multiplies a by each of 8 b (fragments of
// multiplyBfloat, bfloat16) `rounds` times and adds the 8 sums. Grid: any.
// kernel roofs/multiply_registers: RoofArguments, 256
struct RoofArguments {
  const unsigned* operands;    // [32 lanes][4 of a, then 2 of each b]
  float* out;                  // [blocks][256][4]
  int rounds;
};
