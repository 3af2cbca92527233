package dev.bulkgen.cache;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelConfig;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** How K and V are kept. {@link #name()} is the spelling of the command line. */
public sealed interface CachePolicy {

  String name();

  /** All tokens in float16. */
  record Fp16() implements CachePolicy {
    @Override
    public String name() {
      return "fp16";
    }
  }

  /**
   * KIVI (arXiv 2402.02750 §3): all tokens kept; K in groups of {@code group} tokens per channel, V
   * in groups of {@code group} channels per token, the newest {@code window} tokens and the first
   * {@code sink} in float16.
   *
   * @param keyBits 2 or 4
   * @param valueBits 2 or 4
   * @param group 16 to 128, a multiple of 16
   * @param window a positive multiple of {@code group}
   * @param sink 0 or a multiple of {@code group}
   */
  record Kivi(int keyBits, int valueBits, int group, int window, int sink) implements CachePolicy {
    public Kivi {
      requireBits("k", keyBits);
      requireBits("v", valueBits);
      require(
          group >= 16 && group <= 128 && group % 16 == 0,
          "group=%d: use a multiple of 16 from 16 to 128",
          group);
      require(
          window >= group && window <= MAX_WINDOW && window % group == 0,
          "window=%d: use a multiple of group (%d) up to 4096",
          window,
          group);
      require(
          sink >= 0 && sink <= MAX_WINDOW && sink % group == 0,
          "sink=%d: use 0 or a multiple of group (%d) up to 4096",
          sink,
          group);
    }

    @Override
    public String name() {
      String base = "kivi:k=%d,v=%d,group=%d,window=%d,sink=%d";
      return String.format(Locale.ROOT, base, keyBits, valueBits, group, window, sink);
    }
  }

  int MAX_WINDOW = 4096;
  CachePolicy FP16 = new Fp16();
  Kivi KIVI2 = new Kivi(2, 2, 32, 128, 0);
  Kivi KIVI4 = new Kivi(4, 4, 32, 128, 0);

  /**
   * What KIVI's authors advise: 2 bits where every query head has its own K/V head, 4 where they
   * share.
   */
  static CachePolicy auto(ModelConfig model) {
    return model.attention().groupSize() == 1 ? KIVI2 : KIVI4;
  }

  /**
   * Reads a {@code --kv-cache} value; {@code auto} needs the model.
   *
   * @throws BulkgenException SETTING_INVALID naming the part that is wrong
   */
  static CachePolicy parse(String text, ModelConfig model) {
    String value = text.trim().toLowerCase(Locale.ROOT);
    switch (value) {
      case "auto":
        return auto(model);
      case "fp16":
        return FP16;
      case "kivi2":
        return KIVI2;
      case "kivi4":
        return KIVI4;
      default:
        require(
            value.startsWith("kivi:"),
            "'%s' is unknown: use auto, fp16, kivi2, kivi4 or kivi:k=4,v=2,group=32,window=128,sink=0",
            text);
        return parseKivi(value.substring("kivi:".length()));
    }
  }

  private static CachePolicy parseKivi(String settings) {
    Map<String, Integer> values = new LinkedHashMap<>();
    values.put("k", KIVI2.keyBits());
    values.put("v", KIVI2.valueBits());
    values.put("group", KIVI2.group());
    values.put("window", KIVI2.window());
    values.put("sink", KIVI2.sink());
    for (String part : settings.split(",")) {
      int equals = part.indexOf('=');
      String key = equals < 0 ? part.trim() : part.substring(0, equals).trim();
      require(
          values.containsKey(key),
          "'%s' is not a setting of kivi: use k, v, group, window, sink",
          key);
      try {
        values.put(key, Integer.parseInt(part.substring(equals + 1).trim()));
      } catch (NumberFormatException e) {
        require(false, "'%s' is not %s=NUMBER", part.trim(), key);
      }
    }
    return new Kivi(
        values.get("k"),
        values.get("v"),
        values.get("group"),
        values.get("window"),
        values.get("sink"));
  }

  private static void requireBits(String name, int bits) {
    require(bits == 2 || bits == 4, "%s=%d: use 2 or 4 bits", name, bits);
  }

  private static void require(boolean condition, String format, Object... arguments) {
    if (!condition) {
      throw BulkgenException.of(ErrorCode.SETTING_INVALID, "kv-cache: " + format, arguments);
    }
  }
}
