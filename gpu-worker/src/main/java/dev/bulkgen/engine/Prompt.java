package dev.bulkgen.engine;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** What a row asks the model. */
public sealed interface Prompt {
  record Text(String text) implements Prompt {}

  /** For the model's chat template; null or with null in it, it is an error of its row. */
  record Messages(List<Message> messages) implements Prompt {
    public Messages {
      messages =
          messages == null ? List.of() : Collections.unmodifiableList(new ArrayList<>(messages));
    }
  }

  record Message(String role, String content) {}

  /** Token ids as they are: no tokenizer, no BOS added. */
  record Tokens(int[] ids) implements Prompt {}
}
