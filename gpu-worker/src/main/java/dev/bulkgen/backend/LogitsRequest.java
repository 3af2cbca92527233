package dev.bulkgen.backend;

/** Which logits a caller wants to see beside the token; production asks for none. */
public enum LogitsRequest {
  NONE,
  /** Of the last token given: one row [vocabSize]. */
  LAST,
  /** Of every token given: [tokens][vocabSize]. */
  ALL
}
