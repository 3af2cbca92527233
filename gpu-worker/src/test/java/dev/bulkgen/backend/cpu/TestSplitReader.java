package dev.bulkgen.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.tensor.DType;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Scores and value sums of every split against plain sums over what the codec says is kept. */
class TestSplitReader {
  private static final int KV_HEADS = 2;
  private static final int GROUP_SIZE = 3;

  @ParameterizedTest
  @CsvSource({
    "2,2,32,32,0,32,1,0",
    "2,2,32,128,0,64,600,70",
    "4,2,16,16,32,8,20,5",
    "4,4,16,64,64,20,40,100",
    "2,4,48,96,48,80,500,150",
    "4,4,128,128,128,24,700,3",
    "2,2,112,224,0,40,1100,40",
    "2,2,64,640,64,16,1300,10"
  })
  void readsWhereverTokensAre(
      int keyBits,
      int valueBits,
      int group,
      int window,
      int sink,
      int headDim,
      int prompt,
      int decoded) {
    check(new CachePolicy.Kivi(keyBits, valueBits, group, window, sink), headDim, prompt, decoded);
  }

  @ParameterizedTest
  @CsvSource({"8,1,0", "64,31,0", "80,512,0", "20,1000,40"})
  void readsFloat16Pages(int headDim, int prompt, int decoded) {
    check(CachePolicy.FP16, headDim, prompt, decoded);
  }

  private static void check(CachePolicy policy, int headDim, int prompt, int decoded) {
    RandomModels.Form form =
        new RandomModels.Form(
            KV_HEADS * GROUP_SIZE,
            KV_HEADS,
            headDim,
            BlockForm.SEQUENTIAL,
            MlpForm.SILU_GATED,
            false,
            0,
            DType.BF16);
    ModelConfig model = RandomModels.make(form, 3).config();
    CacheLayout layout = CacheLayout.of(policy, model);
    int length = prompt + decoded + 1;
    WorkspaceShape shape = new WorkspaceShape(model, layout, new CacheCapacity(1, 1, length), 1);
    Workspace.Worker scratch = new Workspace(shape).workers[0];
    SplitReader reader = new SplitReader(scratch, shape, new ScalarKernels());
    CachedSequence sequence = new CachedSequence(layout, prompt, decoded);
    sequence.appendPending();

    SplittableRandom random = new SplittableRandom(8);
    for (int i = 0; i < scratch.query.length; i++) {
      scratch.query[i] = (float) random.nextDouble(-1, 1);
    }
    int position = 0;
    for (int split = 0; split < shape.splits(length); split++) {
      int columns = reader.scores(sequence.part(1), length, split);
      assertScores(sequence, scratch, shape, position, columns);
      for (int i = 0; i < scratch.scores.length; i++) {
        scratch.scores[i] = (float) random.nextDouble();
      }
      reader.values(sequence.part(1), length, split);
      assertValues(sequence, scratch, shape, position, columns);
      position += columns;
    }
    assertEquals(length, position, "every token is in one split");
  }

  private static void assertScores(
      CachedSequence sequence,
      Workspace.Worker scratch,
      WorkspaceShape shape,
      int first,
      int count) {
    for (int h = 0; h < GROUP_SIZE; h++) {
      for (int c = 0; c < count; c++) {
        double expected = 0;
        for (int d = 0; d < shape.headDim(); d++) {
          expected +=
              (double) scratch.query[h * shape.headDim() + d]
                  * sequence.expectedKey(1, first + c, d);
        }
        float actual = scratch.scores[h * shape.splitColumns() + c];
        assertEquals(expected, actual, 1e-4, "head " + h + " position " + (first + c));
      }
    }
  }

  private static void assertValues(
      CachedSequence sequence,
      Workspace.Worker scratch,
      WorkspaceShape shape,
      int first,
      int count) {
    for (int h = 0; h < GROUP_SIZE; h++) {
      for (int d = 0; d < shape.headDim(); d++) {
        double expected = 0;
        for (int c = 0; c < count; c++) {
          expected +=
              (double) scratch.scores[h * shape.splitColumns() + c]
                  * sequence.expectedValue(1, first + c, d);
        }
        float actual = scratch.values[h * shape.headDim() + d];
        assertEquals(expected, actual, 3e-3, "head " + h + " channel " + d);
      }
    }
  }
}
