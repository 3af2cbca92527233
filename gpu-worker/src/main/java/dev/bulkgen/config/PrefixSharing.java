package dev.bulkgen.config;

/** What becomes of prompts that begin alike. */
public enum PrefixSharing {
  /** The common beginning is prefilled once, wherever its tokens fill whole pages. */
  AUTO,
  /** Every prompt is prefilled by itself. */
  OFF
}
