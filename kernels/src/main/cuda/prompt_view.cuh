// Addresses of a prompt's exact K and V: those of PromptView in arguments.h, for one K/V head of one
// sequence. Positions count from the sequence's start.
#pragma once

#include "cache_view.cuh"

// Tokens of a page of earlier tokens.
constexpr int keptTokens = 32;

struct PromptTokens {
  const PromptView& view;
  int kvHead;
  int kvHeads;
  int headDim;
  int firstRow;
  int length;
  int earlier;
  const int* table;

  DEVICE PromptTokens(const PromptView& prompts, int sequence, int head, int heads, int dim)
      : view(prompts), kvHead(head), kvHeads(heads), headDim(dim) {
    firstRow = view.firstRow[sequence];
    length = view.length[sequence];
    earlier = view.earlier[sequence];
    size_t row = size_t(view.slots[sequence]) * view.keptLayers + view.keptLayer;
    table = view.keptTable + row * view.keptMaxPages;
  }

  // The head's part of the page of a token that has one.
  DEVICE unsigned char* page(int position) const {
    size_t head = size_t(table[position / keptTokens]) * kvHeads + kvHead;
    return view.keptPages + head * (2 * halfBytes * keptTokens * headDim);
  }
  DEVICE uint16_t* keptKey(int position) const {
    return reinterpret_cast<uint16_t*>(page(position)) + position % keptTokens * headDim;
  }
  DEVICE uint16_t* keptValue(int position) const { return keptKey(position) + keptTokens * headDim; }

  // Of a token of the step.
  DEVICE size_t rowOffset(int position) const {
    return (size_t(firstRow + position) * kvHeads + kvHead) * headDim;
  }

  // Where K does not lie in tiles.
  DEVICE const uint16_t* key(int position) const {
    return position < earlier ? keptKey(position) : view.keys + rowOffset(position);
  }
  DEVICE const uint16_t* value(int position) const {
    return position < earlier ? keptValue(position) : view.values + rowOffset(position);
  }
};
