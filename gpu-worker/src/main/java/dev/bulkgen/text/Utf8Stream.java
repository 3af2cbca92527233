package dev.bulkgen.text;

/**
 * Takes bytes one by one and gives characters as soon as they are whole. Ill-formed sequences are
 * cut into maximal subparts (Unicode, section 3.9, table 3-8).
 */
final class Utf8Stream {
  private static final char REPLACEMENT = '\ufffd';

  /** How many replacement characters an ill-formed part gives. */
  enum Malformed {
    ONE_PER_PART,
    ONE_PER_BYTE
  }

  private final Malformed malformed;
  private int codePoint;
  private int held;
  private int missing;
  private int lowest = 0x80;
  private int highest = 0xbf;

  Utf8Stream(Malformed malformed) {
    this.malformed = malformed;
  }

  void push(int value, StringBuilder out) {
    if (missing > 0) {
      if (value >= lowest && value <= highest) {
        codePoint = codePoint << 6 | (value & 0x3f);
        held++;
        lowest = 0x80;
        highest = 0xbf;
        if (--missing == 0) {
          out.appendCodePoint(codePoint);
          held = 0;
        }
        return;
      }
      finish(out);
    }
    begin(value, out);
  }

  private void begin(int value, StringBuilder out) {
    if (value < 0x80) {
      out.append((char) value);
    } else if (value >= 0xc2 && value <= 0xdf) {
      expect(1, value & 0x1f, 0x80, 0xbf);
    } else if (value >= 0xe0 && value <= 0xef) {
      expect(2, value & 0x0f, value == 0xe0 ? 0xa0 : 0x80, value == 0xed ? 0x9f : 0xbf);
    } else if (value >= 0xf0 && value <= 0xf4) {
      expect(3, value & 0x07, value == 0xf0 ? 0x90 : 0x80, value == 0xf4 ? 0x8f : 0xbf);
    } else {
      out.append(REPLACEMENT);
    }
  }

  private void expect(int bytes, int bits, int low, int high) {
    missing = bytes;
    held = 1;
    codePoint = bits;
    lowest = low;
    highest = high;
  }

  /** Gives up on a character that has begun and will not be finished. */
  void finish(StringBuilder out) {
    int count = malformed == Malformed.ONE_PER_BYTE ? held : Math.min(held, 1);
    for (int i = 0; i < count; i++) {
      out.append(REPLACEMENT);
    }
    held = 0;
    missing = 0;
    lowest = 0x80;
    highest = 0xbf;
  }
}
