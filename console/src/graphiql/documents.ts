/** The tabs that GraphiQL opens with. Each runs as it stands against a server that has just been started. */
export const OPENING_TABS: { query: string; variables?: string }[] = [
  {
    query: `# All model configurations. Ctrl+Enter runs this query.
#
# The next tabs have a subscription, which shows each
# change as it is made, and a mutation that makes one.
# To see both work, open this page in two windows.
#
# The book on the left is the reference of the API;
# Ctrl+Space completes what you type.

query ModelConfigs {
  modelConfigs(first: 20) {
    edges {
      node {
        id
        alias
        litellmModel
        configured
        version
      }
    }
  }
}
`,
  },
  {
    query: `# The current state at once, then every later change,
# until you stop it. To follow one configuration, write
# modelConfigChanged(by: [{alias: "general"}])

subscription WatchModelConfigs {
  modelConfigChanged {
    __typename
    revision
    ... on ModelConfigSnapshot {
      modelConfigs {
        alias
        litellmModel
        version
      }
    }
    ... on ModelConfigChange {
      put {
        alias
        litellmModel
        version
      }
      removed {
        alias
      }
    }
  }
}
`,
  },
  {
    query: `# Makes the configuration in the variables below. What
# you can do something about is in the result: \`message\`.
# A key of the provider is given in the input as
# "auth": {"apiKey": {"apiKey": "os.environ/OPENAI_API_KEY"}}

mutation CreateModelConfig($input: CreateModelConfigInput!) {
  createModelConfig(input: $input) {
    __typename
    ... on CreateModelConfigPayload {
      modelConfig {
        id
        alias
        litellmModel
        version
      }
    }
    ... on UserError {
      message
      path
    }
  }
}
`,
    variables: `{
  "input": {
    "alias": "graphiql-example",
    "description": "Made in GraphiQL",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "params": {"temperature": 0.2}
  }
}
`,
  },
];
