package dev.bulkgen.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sizes of well-known models, as their publishers count them, from their config.json alone. */
class TestPublishedModels {
  private static final String LLAMA = "'architectures':['LlamaForCausalLM'],'model_type':'llama',";

  @TempDir Path folder;

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "Llama-2-7B | 6738415616 | LLAMA'hidden_size':4096,'intermediate_size':11008,"
            + "'num_attention_heads':32,'num_hidden_layers':32,'num_key_value_heads':32,"
            + "'vocab_size':32000,'max_position_embeddings':4096,'rms_norm_eps':1e-05,"
            + "'tie_word_embeddings':false,'rope_scaling':null,'pretraining_tp':1",
        "Llama-3.1-8B | 8030261248 | LLAMA'hidden_size':4096,'intermediate_size':14336,"
            + "'num_attention_heads':32,'num_hidden_layers':32,'num_key_value_heads':8,"
            + "'vocab_size':128256,'max_position_embeddings':131072,'rope_theta':500000.0,"
            + "'tie_word_embeddings':false,'rope_scaling':{'factor':8.0,'low_freq_factor':1.0,"
            + "'high_freq_factor':4.0,'original_max_position_embeddings':8192,"
            + "'rope_type':'llama3'},'eos_token_id':[128001,128008,128009]",
        "SmolLM2-135M | 134515008 | LLAMA'hidden_size':576,'intermediate_size':1536,"
            + "'num_attention_heads':9,'num_hidden_layers':30,'num_key_value_heads':3,"
            + "'vocab_size':49152,'tie_word_embeddings':true,'rope_theta':100000",
        "Mistral-7B-v0.1 | 7241732096 | 'architectures':['MistralForCausalLM'],"
            + "'model_type':'mistral','hidden_size':4096,'intermediate_size':14336,"
            + "'num_attention_heads':32,'num_hidden_layers':32,'num_key_value_heads':8,"
            + "'vocab_size':32000,'max_position_embeddings':32768,'sliding_window':4096,"
            + "'tie_word_embeddings':false",
        "Qwen2.5-7B | 7615616512 | 'architectures':['Qwen2ForCausalLM'],'model_type':'qwen2',"
            + "'hidden_size':3584,'intermediate_size':18944,'num_attention_heads':28,"
            + "'num_hidden_layers':28,'num_key_value_heads':4,'vocab_size':152064,"
            + "'max_position_embeddings':131072,'max_window_layers':28,'sliding_window':131072,"
            + "'use_sliding_window':false,'use_mrope':false,'tie_word_embeddings':false",
        "Qwen3-0.6B | 596049920 | 'architectures':['Qwen3ForCausalLM'],'model_type':'qwen3',"
            + "'hidden_size':1024,'intermediate_size':3072,'num_attention_heads':16,"
            + "'num_hidden_layers':28,'num_key_value_heads':8,'head_dim':128,"
            + "'vocab_size':151936,'max_position_embeddings':40960,'attention_bias':false,"
            + "'use_sliding_window':false,'sliding_window':null,'max_window_layers':28,"
            + "'tie_word_embeddings':true,'rope_theta':1000000,'rope_scaling':null",
        "Falcon-7B | 6921720704 | 'architectures':['FalconForCausalLM'],'model_type':'falcon',"
            + "'hidden_size':4544,'num_attention_heads':71,'num_hidden_layers':32,"
            + "'vocab_size':65024,'multi_query':true,'parallel_attn':true,'bias':false,"
            + "'alibi':false,'new_decoder_architecture':false,'layer_norm_epsilon':1e-05",
        "Falcon-40B | 41303293952 | 'architectures':['FalconForCausalLM'],'model_type':'falcon',"
            + "'hidden_size':8192,'num_attention_heads':128,'num_hidden_layers':60,"
            + "'num_kv_heads':8,'vocab_size':65024,'multi_query':true,'parallel_attn':true,"
            + "'bias':false,'alibi':false,'new_decoder_architecture':true",
      })
  void parametersAsPublished(String name, long parameters, String config) {
    write(config);
    ModelDescription model = ModelFolder.describe(folder);
    assertEquals(parameters, model.parameterCount());
    assertEquals(2 * parameters, model.weightBytes(), "two bytes a weight");
  }

  @Test
  void yarnAsItsUsersWriteIt() {
    write(
        "'architectures':['Qwen2ForCausalLM'],'model_type':'qwen2','hidden_size':3584,"
            + "'intermediate_size':18944,'num_attention_heads':28,'num_hidden_layers':28,"
            + "'num_key_value_heads':4,'vocab_size':152064,'max_position_embeddings':32768,"
            + "'rope_scaling':{'factor':4.0,'original_max_position_embeddings':32768,"
            + "'type':'yarn'}");
    assertEquals(131_072, ModelFolder.readConfig(folder).maxPositions());
  }

  private void write(String config) {
    String json = "{" + config.replace("LLAMA", LLAMA) + ",'torch_dtype':'bfloat16'}";
    TinyCheckpoint.writeText(folder, "config.json", json.replace('\'', '"'));
  }
}
