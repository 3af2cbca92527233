package dev.bulkgen.spark.arrow;

import org.apache.arrow.vector.compression.CompressionUtil.CodecType;

/** Of the bodies of record batches. */
public enum ArrowCompression {
  UNCOMPRESSED(CodecType.NO_COMPRESSION),
  LZ4(CodecType.LZ4_FRAME),
  ZSTD(CodecType.ZSTD);

  final CodecType codec;

  ArrowCompression(CodecType codec) {
    this.codec = codec;
  }
}
