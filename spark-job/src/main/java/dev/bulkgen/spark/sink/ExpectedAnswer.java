package dev.bulkgen.spark.sink;

/** Compares a generated text with the answer that was expected. */
final class ExpectedAnswer {
  private ExpectedAnswer() {}

  /** Whether the text's first words are the answer's words; white space counts for nothing. */
  static boolean begins(String text, String answer) {
    String[] expected = answer.strip().split("\\s+");
    String[] words = text.strip().split("\\s+", expected.length + 1);
    if (words.length < expected.length || answer.isBlank()) {
      return false;
    }
    for (int index = 0; index < expected.length; index++) {
      if (!words[index].equals(expected[index])) {
        return false;
      }
    }
    return true;
  }
}
