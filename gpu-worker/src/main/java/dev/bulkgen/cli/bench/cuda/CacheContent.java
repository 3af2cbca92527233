package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.cache.CacheCodec;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.tensor.Float16;

/**
 * What a cache gives back of one head's K and V, by position: of tokens in pages of a KIVI policy
 * what the codes stand for, of all others the float16 numbers themselves.
 */
final class CacheContent {
  private final CacheLayout layout;
  private final float[][] keys;
  private final float[][] values;

  /**
   * @param keys [tokens][headDim], float16 numbers; changed
   * @param values likewise
   * @param cached tokens when the policy last quantized: the last flush's
   */
  CacheContent(CacheLayout layout, float[][] keys, float[][] values, int cached) {
    this.layout = layout;
    this.keys = keys;
    this.values = values;
    if (layout.policy() instanceof CachePolicy.Kivi kivi) {
      quantizeKeys(kivi, layout.keysInPages(cached));
      quantizeValues(kivi, layout.valuesInPages(cached));
    }
  }

  float[] key(int position) {
    return keys[position];
  }

  float[] value(int position) {
    return values[position];
  }

  private void quantizeKeys(CachePolicy.Kivi kivi, int count) {
    CacheCodec codec = new CacheCodec(kivi.keyBits(), kivi.group());
    float[] group = new float[kivi.group()];
    for (int first = 0; first < count; first += kivi.group()) {
      for (int d = 0; d < layout.headDim(); d++) {
        for (int i = 0; i < kivi.group(); i++) {
          group[i] = keys[kivi.sink() + first + i][d];
        }
        codec.encode(group, 0, 1, kivi.group());
        for (int i = 0; i < kivi.group(); i++) {
          keys[kivi.sink() + first + i][d] = decoded(codec, i);
        }
      }
    }
  }

  private void quantizeValues(CachePolicy.Kivi kivi, int count) {
    CacheCodec codec = new CacheCodec(kivi.valueBits(), kivi.group());
    for (int token = 0; token < count; token++) {
      float[] row = values[kivi.sink() + token];
      for (int first = 0; first < row.length; first += kivi.group()) {
        int length = Math.min(kivi.group(), row.length - first);
        codec.encode(row, first, 1, length);
        for (int i = 0; i < length; i++) {
          row[first + i] = decoded(codec, i);
        }
      }
    }
  }

  private static float decoded(CacheCodec codec, int i) {
    return CacheCodec.decode(codec.code(i), codec.scale(), codec.zero());
  }

  static float rounded(float value) {
    return Float16.round(value);
  }
}
