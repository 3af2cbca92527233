package dev.bulkgen.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bulkgen.Fixtures;
import dev.bulkgen.model.SafetensorsFile;
import dev.bulkgen.tensor.MappedTensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The codec against an independent quantizer: codes, scales, zeros and values, to the bit. */
class TestCacheCodecGolden {
  private static final int HEADS = 2;
  private static final int TOKENS = 128;
  private static final int CHANNELS = 128;

  @ParameterizedTest
  @CsvSource({
    "key,2,32", "key,2,64", "key,2,128", "key,4,32", "key,4,64", "key,4,128",
    "value,2,32", "value,2,64", "value,2,128", "value,4,32", "value,4,64", "value,4,128"
  })
  void encodesAndDecodesExactly(String what, int bits, int group) {
    SafetensorsFile file = SafetensorsFile.open(Fixtures.path("golden/quantizer.safetensors"));
    String prefix = what + "_b" + bits + "_g" + group + ".";
    float[] input = file.tensor(prefix + "input").orElseThrow().toFloats();
    float[] dequantized = file.tensor(prefix + "dequantized").orElseThrow().toFloats();
    MappedTensor codeTensor = file.tensor(prefix + "codes").orElseThrow();
    byte[] codes = new byte[(int) codeTensor.elementCount()];
    codeTensor.readBytes(0, codes, 0, codes.length);
    short[] scales = halves(file.tensor(prefix + "scale").orElseThrow());
    short[] zeros = halves(file.tensor(prefix + "zero").orElseThrow());
    assertEquals(HEADS * TOKENS * CHANNELS, codes.length);

    // A key group runs over tokens of one channel, a value group over channels of one token.
    boolean key = what.equals("key");
    int stride = key ? CHANNELS : 1;
    int groupsPerLine = 128 / group;
    CacheCodec codec = new CacheCodec(bits, group);
    for (int g = 0; g < scales.length; g++) {
      int head = g / (128 * groupsPerLine);
      int line = g / groupsPerLine % 128;
      int first = g % groupsPerLine * group;
      int offset =
          head * TOKENS * CHANNELS + (key ? first * CHANNELS + line : line * CHANNELS + first);
      codec.encode(input, offset, stride, group);
      assertEquals(scales[g], codec.scale(), prefix + "scale " + g);
      assertEquals(zeros[g], codec.zero(), prefix + "zero " + g);
      for (int i = 0; i < group; i++) {
        assertEquals(codes[g * group + i], codec.code(i), prefix + "code " + g + " " + i);
        float value = CacheCodec.decode(codec.code(i), codec.scale(), codec.zero());
        assertEquals(dequantized[offset + i * stride], value, prefix + "value " + g + " " + i);
      }
    }
  }

  private static short[] halves(MappedTensor tensor) {
    short[] halves = new short[(int) tensor.elementCount()];
    tensor.readShorts(0, halves, 0, halves.length);
    return halves;
  }
}
