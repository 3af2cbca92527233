package dev.bulkgen.spark.sink;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.engine.Completion;
import dev.bulkgen.sampling.TokenLogProbs;
import dev.bulkgen.text.Detokenizer;
import dev.bulkgen.text.Tokenizer;
import java.util.Optional;

/** {@code choices[].logprobs} in the shapes that OpenAI publishes for its two endpoints. */
record OpenAiLogprobs(TokenTexts texts) {
  /** JSON has no infinity; OpenAI's word for what is as good as impossible. */
  private static final float LEAST = -9999;

  ObjectNode ofChat(Completion completion) {
    ObjectNode logprobs = JsonNodeFactory.instance.objectNode();
    ArrayNode content = logprobs.putArray("content");
    for (int index = 0; index < completion.tokenIds().length; index++) {
      TokenLogProbs told = completion.logProbs().get(index);
      ArrayNode top =
          put(content.addObject(), completion.tokenIds()[index], told.logProb())
              .putArray("top_logprobs");
      for (int rank = 0; rank < told.topTokens().length; rank++) {
        put(top.addObject(), told.topTokens()[rank], told.topLogProbs()[rank]);
      }
    }
    logprobs.putNull("refusal");
    return logprobs;
  }

  private ObjectNode put(ObjectNode token, int id, float logProb) {
    token.put("token", name(id));
    token.put("logprob", Math.max(logProb, LEAST));
    Optional<byte[]> bytes = texts.bytes(id);
    if (bytes.isEmpty()) {
      return token.putNull("bytes");
    }
    ArrayNode values = token.putArray("bytes");
    for (byte value : bytes.get()) {
      values.add(value & 0xff);
    }
    return token;
  }

  /** A token without a text goes by its id, as vLLM spells it. */
  private String name(int id) {
    return texts
        .bytes(id)
        .map(bytes -> TokenTexts.text(bytes).toString())
        .orElseGet(() -> "token_id:" + id);
  }

  ObjectNode ofText(Completion completion) {
    ObjectNode logprobs = JsonNodeFactory.instance.objectNode();
    ArrayNode tokens = logprobs.putArray("tokens");
    ArrayNode tokenLogprobs = logprobs.putArray("token_logprobs");
    ArrayNode top = logprobs.putArray("top_logprobs");
    for (int index = 0; index < completion.tokenIds().length; index++) {
      TokenLogProbs told = completion.logProbs().get(index);
      String token = name(completion.tokenIds()[index]);
      float logprob = Math.max(told.logProb(), LEAST);
      tokens.add(token);
      tokenLogprobs.add(logprob);
      putTop(top.addObject(), told).putIfAbsent(token, top.numberNode(logprob));
    }
    putOffsets(logprobs.putArray("text_offset"), completion);
    return logprobs;
  }

  /** Of tokens that read alike, the likeliest stays. */
  private ObjectNode putTop(ObjectNode top, TokenLogProbs told) {
    for (int rank = 0; rank < told.topTokens().length; rank++) {
      float logprob = Math.max(told.topLogProbs()[rank], LEAST);
      top.putIfAbsent(name(told.topTokens()[rank]), top.numberNode(logprob));
    }
    return top;
  }

  /**
   * Where the text stood before each token, in characters; what a stop string cut off is its end.
   */
  private void putOffsets(ArrayNode offsets, Completion completion) {
    String text = completion.text();
    int end = text.codePointCount(0, text.length());
    Optional<Detokenizer> detokenizer = texts.tokenizer().map(Tokenizer::continuation);
    int offset = 0;
    for (int id : completion.tokenIds()) {
      offsets.add(Math.min(offset, end));
      String added = detokenizer.map(known -> known.push(id)).orElse("");
      offset += added.codePointCount(0, added.length());
    }
  }
}
