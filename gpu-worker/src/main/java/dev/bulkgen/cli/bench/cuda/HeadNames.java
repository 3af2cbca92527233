package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.model.AttentionShape;

/** Attention heads in short: query heads / K/V heads x head size. */
final class HeadNames {
  private HeadNames() {}

  static String of(AttentionShape heads) {
    return heads.queryHeads() + "/" + heads.kvHeads() + "x" + heads.headDim();
  }
}
