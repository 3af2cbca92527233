package dev.bulkgen.engine;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Turns a prompt and its completions into tokens to score, as lm-evaluation-harness does; {@link
 * ScoreRequest} says how.
 */
final class CompletionEncoder {
  private static final char NEXT_LINE = '\u0085';

  private final PromptEncoder encoder;
  private final OptionalInt prefixToken;

  /**
   * @param prefixToken stands before whole texts: the beginning-of-sequence token, or the end token
   *     of a model without; empty where it has neither
   */
  CompletionEncoder(PromptEncoder encoder, OptionalInt prefixToken) {
    this.encoder = encoder;
    this.prefixToken = prefixToken;
  }

  /** Whether completions are whole texts. */
  static boolean isWhole(Prompt prompt) {
    return prompt instanceof Prompt.Text text && "".equals(text.text())
        || prompt instanceof Prompt.Tokens tokens
            && tokens.ids() != null
            && tokens.ids().length == 0;
  }

  /**
   * The tokens of each completion behind those of the prompt, however many.
   *
   * @throws BulkgenException as {@link PromptEncoder#encode}
   */
  List<ScoredTokens> encode(ScoreRequest request) {
    Prompt prompt = request.prompt();
    Function<Prompt, ScoredTokens> encode;
    if (isWhole(prompt)) {
      encode = this::whole;
    } else if (prompt instanceof Prompt.Tokens tokens) {
      int[] context = encoder.checked(tokens.ids(), "the prompt");
      encode = completion -> behind(context, idsOf(completion));
    } else {
      encode = new TextContext(prompt)::with;
    }
    return request.completions().stream().map(encode).toList();
  }

  private ScoredTokens whole(Prompt completion) {
    return behindPrefix(
        completion instanceof Prompt.Tokens ? idsOf(completion) : encodePlain(completion));
  }

  private int[] encodePlain(Prompt completion) {
    String text = textOf(completion);
    return text.isEmpty() ? new int[0] : encoder.encode(text, PromptEncoder.Form.PLAIN);
  }

  /** Tokens of which all are scored but a prefix token; no tokens need none. */
  private ScoredTokens behindPrefix(int[] ids) {
    if (ids.length == 0) {
      return new ScoredTokens(ids, 0);
    }
    int prefix =
        prefixToken.orElseThrow(
            () ->
                BulkgenException.of(
                    ErrorCode.PROMPT_INVALID,
                    "the model names neither a token that begins a sequence nor one that ends it,"
                        + " so nothing stands before the first token of the text; give its first"
                        + " token as the prompt"));
    return ids[0] == prefix ? new ScoredTokens(ids, 1) : behind(new int[] {prefix}, ids);
  }

  /** A text that is not empty may have no tokens: white space alone, for some tokenizers. */
  private ScoredTokens behind(int[] context, int[] ids) {
    if (context.length == 0) {
      return behindPrefix(ids);
    }
    int[] all = IntStream.concat(IntStream.of(context), IntStream.of(ids)).toArray();
    return new ScoredTokens(all, context.length);
  }

  private int[] idsOf(Prompt completion) {
    if (!(completion instanceof Prompt.Tokens tokens)) {
      throw BulkgenException.of(
          ErrorCode.PROMPT_INVALID,
          "the prompt is token ids and a completion is text, whose tokens depend on the text before"
              + " it; give both as text or both as token ids");
    }
    boolean isEmpty = tokens.ids() != null && tokens.ids().length == 0;
    return isEmpty ? tokens.ids() : encoder.checked(tokens.ids(), "a completion");
  }

  private static String textOf(Prompt completion) {
    String text = ((Prompt.Text) completion).text();
    if (text == null) {
      throw BulkgenException.of(ErrorCode.PROMPT_INVALID, "a completion is null; give a text");
    }
    return text;
  }

  /** What Python's rstrip takes off. */
  private static boolean isSpace(char c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == NEXT_LINE;
  }

  /** A prompt of text or messages. */
  private final class TextContext {
    private final String text;
    private final String before; // without white space at its end, where that goes to completions
    private final PromptEncoder.Form form;
    private final int[] ids; // of what stands before

    TextContext(Prompt prompt) {
      text = encoder.text(prompt);
      boolean isPlain = prompt instanceof Prompt.Text;
      form = isPlain ? PromptEncoder.Form.PLAIN : PromptEncoder.Form.RENDERED;
      int end = text.length();
      while (isPlain && end > 0 && isSpace(text.charAt(end - 1))) {
        end--;
      }
      before = text.substring(0, end);
      ids = encoder.encode(before, form);
    }

    ScoredTokens with(Prompt completion) {
      if (completion instanceof Prompt.Tokens) {
        return behind(encoder.encode(text, form), idsOf(completion));
      }
      String added = textOf(completion);
      if (added.isEmpty()) {
        return new ScoredTokens(ids, ids.length);
      }
      int[] all = encoder.encode(text + added, form);
      if (all.length <= ids.length) {
        throw BulkgenException.of(
            ErrorCode.PROMPT_INVALID,
            "a completion (%d characters long) adds no token to its prompt; give longer ones",
            added.length());
      }
      return ids.length == 0 ? behindPrefix(all) : new ScoredTokens(all, ids.length);
    }
  }
}
