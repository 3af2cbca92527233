package dev.bulkgen.backend;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.Fixtures;
import dev.bulkgen.Tolerances;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.model.ModelWeights;
import java.io.IOException;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every backend against the numbers of an independent implementation, family by family. */
public abstract class AbstractTestGolden {
  private static final int MAX_LENGTH = 512;

  protected abstract BackendSession.Opener opener();

  /** A column of the golden data: which tensor, which policy, how close. */
  private record Mode(String tensor, CachePolicy policy, Tolerances tolerance) {
    @Override
    public String toString() {
      return tensor;
    }
  }

  private static final Mode[] MODES = {
    new Mode("fp16_logits", CachePolicy.FP16, Tolerances.GOLDEN_FP16),
    new Mode("kivi2_g32_r32_logits", kivi(2, 2, 32), Tolerances.GOLDEN_2_BITS),
    new Mode("kivi2_g32_r128_logits", kivi(2, 2, 128), Tolerances.GOLDEN_2_BITS),
    new Mode("kivi4_g32_r64_logits", kivi(4, 4, 64), Tolerances.GOLDEN_4_BITS),
    new Mode("kivi_k4v2_g32_r32_logits", kivi(4, 2, 32), Tolerances.GOLDEN_2_BITS),
  };

  private static CachePolicy kivi(int keyBits, int valueBits, int window) {
    return new CachePolicy.Kivi(keyBits, valueBits, 32, window, 0);
  }

  static Stream<Arguments> familiesAndModes() {
    return Golden.FAMILIES.stream()
        .flatMap(family -> Stream.of(MODES).map(mode -> Arguments.of(family, mode)));
  }

  static Stream<String> families() {
    return Golden.FAMILIES.stream();
  }

  @ParameterizedTest
  @MethodSource("familiesAndModes")
  void decodesAsTheReferenceDoes(String family, Mode mode) {
    Golden golden = Golden.open(family);
    float[][] expected = golden.rows(mode.tensor);
    try (BackendSession session = open(golden.weights(), mode.policy)) {
      int[] prompt = golden.ids("prompt_ids");
      float[][] actual = session.teacherForced(prompt, golden.ids("greedy_ids"), expected.length);
      report(family, mode.tensor, mode.tolerance.assertClose(family, expected, actual));
    }
  }

  @Test
  void aTrainedModelTellsItsStory() throws IOException {
    JsonNode story =
        new ObjectMapper()
            .readTree(Fixtures.path("models/stories260k/golden_greedy.json").toFile());
    int[] expected = new ObjectMapper().convertValue(story.get("greedy_ids"), int[].class);
    ModelWeights weights = ModelFolder.open(Fixtures.path("models/stories260k")).weights();
    try (BackendSession session = open(weights, CachePolicy.FP16)) {
      SequenceCache cache = session.newSequence();
      int[] actual = new int[expected.length];
      actual[0] = 1;
      for (int i = 1; i < actual.length; i++) {
        actual[i] = session.step(cache, LogitsRequest.NONE, actual[i - 1]).token();
      }
      assertArrayEquals(expected, actual);
    }
  }

  private BackendSession open(ModelWeights weights, CachePolicy policy) {
    return open(opener(), weights, policy);
  }

  protected static BackendSession open(
      BackendSession.Opener opener, ModelWeights weights, CachePolicy policy) {
    CacheLayout layout = CacheLayout.of(policy, weights.config());
    return new BackendSession(opener, weights, layout, 1, MAX_LENGTH, 2, 0);
  }

  protected static void report(String family, String what, Tolerances.Difference difference) {
    System.out.printf("%-16s %-26s %s%n", family, what, difference);
  }
}
