import { useMutation } from "urql";
import { useLocation } from "wouter";
import { CreateModelDocument } from "../../../gql/graphql";
import { Page } from "../../parts/Page";
import { messageOf } from "../../parts/states";
import { useKept } from "../../kept";
import { useToast } from "../../parts/Toasts";
import { draftOf, isChanged, type Changes } from "./draft";
import { ModelForm, type Refusal } from "./ModelForm";

export function NewModelPage() {
  const { state: draft, setState: setDraft, forget } = useKept("model:new", () => draftOf(null), (typed) => isChanged(typed, null));
  const [, create] = useMutation(CreateModelDocument);
  const toast = useToast();
  const [, navigate] = useLocation();

  async function save(changes: Changes): Promise<Refusal | null> {
    const { data, error } = await create({ input: { ...changes, alias: draft.alias } });
    if (error !== undefined || data === undefined) {
      return { message: error === undefined ? "The server gave no answer." : messageOf(error), path: null };
    }
    const result = data.createModelConfig;
    if (result.__typename !== "CreateModelConfigPayload") return result;
    forget();
    toast(`“${draft.alias}” was created.`);
    navigate("/models");
    return null;
  }

  return (
    <Page title="New model" back={{ href: "/models", name: "Models" }}>
      <ModelForm draft={draft} base={null} onChange={setDraft} onSave={save} />
    </Page>
  );
}
